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
	"osgate/internal/recent"
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

func newLearned() *learned {
	return &learned{
		stores: recent.New[digest, storeTimes](learnedStores), failed: recent.New[digest, time.Time](learnedStores),
		fetches: map[digest]ttlFetch{},
	}
}

func newFlights() *flights { return &flights{active: map[flightKey]*flight{}} }

func newHolders(notice func(Holding)) *holders {
	return &holders{notice: notice, clients: map[string]*holder{}}
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

// Entry is a stored answer of upstream with the state that it was read from. It is
// immutable, shared by all requests that it answers, and safe for concurrent use. Its
// header contains no hop-by-hop, cookie, quota, request id or identity field. The ETag
// of a 200 to a GET is ours if upstream sent none.
type Entry struct {
	httpcache.Response

	stamp coherence.Stamp // the generations, read before the fetch
	on    coherence.Resources
	stale staleness // how long it may be served after it is no longer fresh
}

// DefaultControl replaces Cache-Control if upstream sent none. The answer belongs to
// one principal, and a client that keeps it must validate it before each use (our ETag
// gives it a 304), because writes through the gateway do not reach the client's cache.
const DefaultControl = "private, no-cache"

// entryOverhead is the memory of an entry apart from its body and header: the struct,
// the key, the node and links of the entry store (TestMemoryStaysWithinBytes).
const entryOverhead = 1024

func (e *Entry) weight() uint32 { return uint32(e.Bytes() + entryOverhead) }

func (e *Entry) failed() bool { return httpcache.Failed(e.Status) }

// Stats is a snapshot of the cache's content and of its counts since it was made.
type Stats struct {
	Entries   int                  // stored now, including those that have expired since the last clean-up
	Bytes     int64                // the size of the entries, counted as for [Options].Bytes
	UnderWay  int64                // bytes of answers that are being received
	Hits      int64                // Looks answered
	Misses    int64                // Looks without a usable entry (fwd=miss, fwd=stale), followers included
	Stale     int64                // Hits served while the entry was fetched again
	Fallbacks int64                // Misses served from a stale entry because upstream failed
	Collapsed int64                // Misses answered by another request's fetch
	Requests  int64                // Looks that the client's header sent upstream
	Bypasses  int64                // Looks that did not use the cache for our own reasons
	Fills     int64                // answers stored
	Marks     int64                // writes announced
	Outcomes  [writeOutcomes]int64 // the Marks that have ended, by [WriteOutcome]
	Widened   int64                // the Marks with a lease on the whole store, because their client holds too many
	// Leases without room, so that all reads of their part of the store bypassed the
	// cache too.
	Settled   int64
	Held      int64 // leases of writes under way
	Kept      int64 // leases of ended writes, which run out by themselves
	Evictions int64 // entries dropped for room before they expired

	TTLsLearned int64 // stores whose TTL was fetched
	TTLsFailed  int64 // fetches that did not return a store's TTL

	SharedHits   int64       // Hits for which the entry of another replica was fetched
	SharedMisses int64       // searches in other replicas' entries that found no usable one, or got no answer
	Shared       SharedStats // of [Options].Shared
}

// Stats returns a snapshot. The numbers are not of one instant.
func (c *Cache) Stats() Stats {
	n := &c.counts
	stats := Stats{
		Entries: c.entries.EstimatedSize(), Bytes: int64(c.entries.WeightedSize()), UnderWay: c.underWay.Used(),
		Hits: n.hits.Load(), Misses: n.misses.Load(), Stale: n.stale.Load(),
		Fallbacks: n.fallbacks.Load(), Collapsed: n.collapsed.Load(),
		Requests: n.requests.Load(), Bypasses: n.bypasses.Load(),
		Fills: n.fills.Load(), Marks: n.marks.Load(), Evictions: n.evictions.Load(),
		TTLsLearned: n.ttlsLearned.Load(), TTLsFailed: n.ttlsFailed.Load(),
		SharedHits: n.sharedHits.Load(), SharedMisses: n.sharedMisses.Load(),
	}
	for outcome := range n.outcomes {
		stats.Outcomes[outcome] = n.outcomes[outcome].Load()
	}
	stats.Widened, stats.Settled = n.widened.Load(), c.options.Coherence.Settled()
	stats.Held, stats.Kept = c.holders.totals(time.Now())
	if c.options.Shared != nil {
		stats.Shared = c.options.Shared.Stats()
	}
	return stats
}

// totals returns the number of leases of writes under way, and of ended writes.
func (h *holders) totals(now time.Time) (underWay, kept int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.clients {
		underWay += int64(c.underWay)
		kept += int64(c.held(now) - c.underWay)
	}
	return underWay, kept
}

type counts struct {
	hits, misses, stale, fallbacks, collapsed, requests, bypasses, fills, marks, evictions,
	sharedHits, sharedMisses, widened atomic.Int64

	ttlsLearned, ttlsFailed atomic.Int64

	outcomes [writeOutcomes]atomic.Int64 // by WriteOutcome
}

func (n *counts) deleted(e otter.DeletionEvent[digest, *Entry]) {
	if e.Cause == otter.CauseOverflow {
		n.evictions.Add(1)
	}
}
