package cache

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"osgate/cache/coherence"
	"osgate/cache/httpcache"
	"osgate/internal/entrystore"
	"osgate/objectstore"
)

// Options configure a [Cache].
type Options struct {
	// KeyTTL, StoresTTL and KeysTTL are how long answers are fresh: those of a key;
	// those of regions, store lists and stores; those of partition and key lists. 0
	// turns the kind off. The maximum is an hour, see [MaxTTL].
	KeyTTL, StoresTTL, KeysTTL time.Duration

	// Bytes bounds the entries: bodies, headers and the memory that it takes to keep
	// them. EntryBytes bounds one body. Answers that are still being received take at
	// most a quarter of Bytes more.
	Bytes, EntryBytes int64

	// GrantTTL is how long a token may be served hits of one kind after upstream has
	// answered it. 0: there are no hits.
	GrantTTL time.Duration

	// WriteLease is the longest time that a write may take until it takes effect
	// upstream. It must be positive.
	WriteLease time.Duration

	// ConfirmationLease is how long a confirmable operation may still roll back by
	// itself if its store's confirmation time is not known. 0: 10 minutes, the vendor's
	// default.
	ConfirmationLease time.Duration

	// StaleWhileRevalidate and StaleIfError are how long an answer may be served after
	// it is no longer fresh: while it is fetched again, and if upstream fails (RFC
	// 5861). Upstream may shorten these times or forbid it. 0: never. Together with the
	// freshness of any kind the maximum is an hour, see [MaxTTL].
	StaleWhileRevalidate, StaleIfError time.Duration

	// IgnoreClients makes the cache ignore Cache-Control and Pragma of clients, except
	// only-if-cached and max-stale: a client cannot force a fetch or forbid to store.
	IgnoreClients bool

	// RequireTTL keeps a value, or a list of keys, only while its store's TTL is known:
	// it may be served for a hundredth of that. The caller learns a TTL with
	// [Cache.LearnTTL]. False: a TTL that the cache happens to know bounds the
	// freshness, an unknown TTL does not.
	RequireTTL bool

	// Rules are the rules of [Cache.SetRules] at the start.
	Rules []Rule

	// Coherence keeps track of writes. Nil: [coherence.NewLocal].
	Coherence coherence.Tracker

	// SharedGrants shares grants with the other replicas. Nil: each process learns
	// grants by itself.
	SharedGrants coherence.SharedGrants

	// OnHold reports leases with which a client keeps reads from the cache, if they are
	// worth a log line: at most one a minute for each client, and 60 a minute for all.
	// It must not block. Nil: it is not called.
	OnHold func(Holding)

	// Shared shares entries with the other replicas. Nil: each process fetches by
	// itself.
	Shared Shared
}

// MaxTTL is the longest freshness that may be configured. In a store with a rolling
// TTL, a read prolongs the life of a value ("Object Store v2 FAQ"). A read that is
// answered from the cache does not, so each value in use must be read upstream now and
// then.
const MaxTTL = coherence.MaxAge

const (
	defaultConfirmation = 10 * time.Minute
	underWayShare       = 4 // the bodies that are being received take at most Bytes divided by this
)

// validate returns all errors in o.
func (o *Options) validate() error {
	var problems []error
	for name, ttl := range map[string]time.Duration{
		"KeyTTL": o.KeyTTL, "StoresTTL": o.StoresTTL, "KeysTTL": o.KeysTTL,
	} {
		if ttl < 0 || ttl > MaxTTL {
			problems = append(problems, fmt.Errorf(
				"invalid %s %v: want 0 to %v, because only a read upstream renews a rolling TTL", name, ttl, MaxTTL))
		}
	}
	problems = append(problems, o.validateStale()...)
	if o.EntryBytes < 0 || o.EntryBytes > math.MaxInt32 || o.Bytes < o.EntryBytes {
		problems = append(problems, fmt.Errorf(
			"invalid EntryBytes %d: want 0 to Bytes (%d), and less than 2 GiB", o.EntryBytes, o.Bytes))
	}
	if o.GrantTTL < 0 || o.ConfirmationLease < 0 {
		problems = append(problems, errors.New("invalid GrantTTL or ConfirmationLease: want 0 or more"))
	}
	if o.WriteLease <= 0 {
		problems = append(problems, fmt.Errorf("invalid WriteLease %v: want more than 0", o.WriteLease))
	}
	return errors.Join(problems...)
}

// validateStale returns the errors in the times for stale answers.
func (o *Options) validateStale() (problems []error) {
	for name, stale := range map[string]time.Duration{
		"StaleWhileRevalidate": o.StaleWhileRevalidate, "StaleIfError": o.StaleIfError,
	} {
		if ttl := max(o.KeyTTL, o.StoresTTL, o.KeysTTL); stale < 0 || stale > 0 && ttl+stale > MaxTTL {
			problems = append(problems, fmt.Errorf(
				"invalid %s %v: want 0 or more, and with the longest freshness (%v) at most %v, because only a read "+
					"upstream renews a rolling TTL", name, stale, ttl, MaxTTL))
		}
	}
	return problems
}

// Question is a request to the cache.
type Question struct {
	Location  string                // "us/us-east-1"
	Operation objectstore.Operation // the operation of the request
	// Selects the entries that may answer: opaque, equal for requests that may share
	// entries.
	Scope string
	// Scope contains several principals: an answer that upstream marks private is not
	// stored.
	Shared bool
	Token  [32]byte // keyed hash of the request's token, for grants
	// Granted means that the caller has decided the right to read, and no grant is needed:
	// policy does so for clients without an Anypoint token. Scope must keep these
	// questions apart from all others.
	Granted bool
	Client  string      // the client's name in quotas and logs, under which its leases are counted
	Header  http.Header // the request's header, read only
	// The request has a body, which the entry's name does not cover: the cache is not
	// used.
	HasBody bool
}

// Result is the cache's answer to a [Question]. Without Entry, Fill and Wait, the
// request is sent upstream and its answer is not stored. With both Entry and Fill, the
// entry is served, and the caller fetches it again in the background and gives the
// answer to the Fill.
type Result struct {
	Entry        *Entry // the entry to serve
	Fill         *Fill  // takes the answer; it must be closed
	Wait         bool   // another request is fetching the same entry: [Search.Follow] waits for it
	Status       httpcache.Status
	OnlyIfCached bool // the client accepts only a stored answer, and none is stored: 504 (RFC 9111 section 5.2.1.7)
}

// Cache stores answers. Create it with [New]. Its methods are safe for concurrent use.
type Cache struct {
	options  Options
	entries  entrystore.Store[digest, *Entry]
	grants   *coherence.Grants
	learned  *learned
	flights  *flights
	holders  *holders
	rules    atomic.Pointer[[]Rule] // nil: no rules
	underWay httpcache.Budget
	counts   counts
}

// New returns a cache. It starts no goroutine; [Cache.Run] frees expired entries.
func New(o Options) (*Cache, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.Coherence == nil {
		o.Coherence = coherence.NewLocal()
	}
	if o.ConfirmationLease == 0 {
		o.ConfirmationLease = defaultConfirmation
	}
	c := &Cache{
		options: o, grants: coherence.NewGrants(o.GrantTTL), learned: newLearned(),
		flights: newFlights(), holders: newHolders(o.OnHold),
	}
	if len(o.Rules) > 0 {
		c.SetRules(o.Rules)
	}
	c.underWay.Limit = max(o.Bytes/underWayShare, o.EntryBytes)
	entries, err := entrystore.New(entrystore.Options[digest, *Entry]{
		Bytes: o.Bytes, Weigh: (*Entry).weight, OnDeletion: c.counts.deleted,
		Lifetime: func(e *Entry) time.Duration { return e.Lifetime + e.stale.longest() },
	})
	if err != nil {
		return nil, err
	}
	c.entries = entries
	return c, nil
}

// Run frees expired entries until ctx is done, then it returns nil. Without Run they
// are freed only when the cache needs room.
func (c *Cache) Run(ctx context.Context) error { return c.entries.Run(ctx) }

// intake returns the copy of a body that may become an entry.
func (c *Cache) intake() httpcache.Intake {
	return httpcache.Intake{Max: c.options.EntryBytes, Budget: &c.underWay}
}

// Key returns the name of the entry that answers q, in hexadecimal.
func (c *Cache) Key(q Question) string {
	key := entryKey(&q)
	return hex.EncodeToString(key[:])
}

// store keeps the entry of a fetch.
func (c *Cache) store(key digest, e *Entry) {
	c.put(key, e)
	c.counts.fills.Add(1)
}

// put keeps e unless a newer entry is stored: the fetch that began later has the newer
// state.
func (c *Cache) put(key digest, e *Entry) {
	c.entries.Compute(key, func(old *Entry, found bool) (*Entry, otter.ComputeOp) {
		if found && old.RequestedAt.After(e.RequestedAt) {
			return old, otter.CancelOp
		}
		return e, otter.WriteOp
	})
}
