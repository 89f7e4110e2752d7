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

	"osgate/objectstore"
)

// Options configure a [Cache].
type Options struct {
	// KeyTTL, StoresTTL and KeysTTL are how long answers are fresh: of a key; of regions, store lists and stores; of partition and key
	// lists. 0 turns that kind off; an hour at most, see [MaxTTL].
	KeyTTL, StoresTTL, KeysTTL time.Duration

	// Bytes bounds the entries, bodies and headers and what it takes to keep them. EntryBytes bounds one body. Answers on their way
	// into the cache take a quarter of Bytes more at most.
	Bytes, EntryBytes int64

	// GrantTTL is how long upstream's answer to a token lets that token be served hits of the same kind. 0: there are no hits.
	GrantTTL time.Duration

	// WriteLease is how long a write may take until it takes effect upstream, at the longest; positive.
	WriteLease time.Duration

	// ConfirmationLease is how long a confirmable operation may roll back by itself, where its store has not told. 0: 10 minutes, the
	// vendor's default.
	ConfirmationLease time.Duration

	// StaleWhileRevalidate and StaleIfError are for how much longer than it is fresh an answer may be served: while it is being asked for again,
	// and where upstream fails (RFC 5861). Upstream may say less, or forbid it. 0: not at all. With the freshness of any kind, an hour
	// at most, see [MaxTTL].
	StaleWhileRevalidate, StaleIfError time.Duration

	// IgnoreClients says that clients cannot have their reads go upstream, or unstored, by
	// Cache-Control or Pragma: of these only only-if-cached and max-stale count.
	IgnoreClients bool

	// RequireTTL keeps a value, or a list of keys, only while its store's TTL is known: it may
	// be served for a hundredth of that. The caller learns a TTL with [Cache.LearnTTL].
	// False: what is learned by chance bounds the freshness, and an unknown TTL does not.
	RequireTTL bool

	// Rules are those of [Cache.SetRules] at the start.
	Rules []Rule

	// Coherence knows what is being written. Nil: [NewLocalCoherence].
	Coherence Coherence

	// SharedGrants keeps grants for the other replicas too, beside the Coherence. Nil: each process learns them by itself.
	SharedGrants SharedGrants

	// OnHold is called with what clients keep past the cache, where that is worth a line of
	// the log: a line a minute for each client, 60 for all. It must not block. Nil:
	// it is not called.
	OnHold func(Holding)

	// Shared keeps entries for the other replicas too. Nil: each process fetches by itself.
	Shared Shared
}

// MaxTTL is the longest freshness that may be configured. A read prolongs the life of a value in a store with a rolling TTL ("Object Store v2
// FAQ"); one that is answered only from here would not, so upstream must see every value in use now and then.
const MaxTTL = time.Hour

const (
	defaultConfirmation = 10 * time.Minute
	underWayShare       = 4 // answers under way take Bytes divided by this at most
)

// validate returns all that is wrong with o.
func (o *Options) validate() error {
	var problems []error
	for name, ttl := range map[string]time.Duration{"KeyTTL": o.KeyTTL, "StoresTTL": o.StoresTTL, "KeysTTL": o.KeysTTL} {
		if ttl < 0 || ttl > MaxTTL {
			problems = append(problems, fmt.Errorf("%s is %v, not between 0 and %v: upstream, values that no read reaches miss their rolling TTL",
				name, ttl, MaxTTL))
		}
	}
	problems = append(problems, o.validateStale()...)
	if o.EntryBytes < 0 || o.EntryBytes > math.MaxInt32 || o.Bytes < o.EntryBytes {
		problems = append(problems, fmt.Errorf("EntryBytes is %d, not between 0 and Bytes (%d) and 2 GiB", o.EntryBytes, o.Bytes))
	}
	if o.GrantTTL < 0 || o.ConfirmationLease < 0 {
		problems = append(problems, errors.New("GrantTTL and ConfirmationLease must not be negative"))
	}
	if o.WriteLease <= 0 {
		problems = append(problems, fmt.Errorf("WriteLease is %v, not positive", o.WriteLease))
	}
	return errors.Join(problems...)
}

// validateStale returns what is wrong with how long answers may be served beyond their freshness.
func (o *Options) validateStale() (problems []error) {
	for name, stale := range map[string]time.Duration{"StaleWhileRevalidate": o.StaleWhileRevalidate, "StaleIfError": o.StaleIfError} {
		if ttl := max(o.KeyTTL, o.StoresTTL, o.KeysTTL); stale < 0 || stale > 0 && ttl+stale > MaxTTL {
			problems = append(problems, fmt.Errorf("%s is %v, not between 0 and what the longest freshness (%v) leaves of %v: upstream, values that no read "+
				"reaches miss their rolling TTL", name, stale, ttl, MaxTTL))
		}
	}
	return problems
}

// Question is what a request asks of the cache.
type Question struct {
	Location  string                // "us/us-east-1"
	Operation objectstore.Operation // whose answer it is
	Scope     string                // whose entries may answer: opaque, equal for those who may share
	Shared    bool                  // Scope holds more than one principal: what upstream marks private is not stored
	Token     [32]byte              // keyed hash of the request's token, for grants
	Client    string                // who asks, by its name in quotas and logs: its leases are counted together
	Header    http.Header           // the request's, read only
	Alone     bool                  // it brings upstream what is not in Header (a body): the cache is passed by
}

// Result is the cache's answer to a [Question]. Without Entry, Fill and Wait the request goes upstream and is not stored. With both Entry and
// Fill, the entry is served and what it holds is asked for again by somebody who keeps nobody waiting, whose answer the Fill takes.
type Result struct {
	Entry        *Entry // to be served
	Fill         *Fill  // what may be stored; it must be closed
	Wait         bool   // another request is fetching the same: [Search.Follow] waits for it
	Status       Status
	OnlyIfCached bool // the client wants a stored answer or none, and there is none: 504 (RFC 9111 section 5.2.1.7)
}

// Cache is the store of answers. Create it with [New]; its methods are safe for concurrent use.
type Cache struct {
	options  Options
	entries  *otter.Cache[digest, *Entry]
	grants   *grants
	learned  *learned
	flights  *flights
	holders  *holders
	rules    atomic.Pointer[[]Rule] // nil: none
	underWay budget
	counts   counts
}

// New returns a cache. It starts no goroutine; [Cache.Run] frees what has expired.
func New(o Options) (*Cache, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.Coherence == nil {
		o.Coherence = NewLocalCoherence()
	}
	if o.ConfirmationLease == 0 {
		o.ConfirmationLease = defaultConfirmation
	}
	c := &Cache{options: o, grants: newGrants(o.GrantTTL), learned: newLearned(), flights: newFlights(), holders: newHolders(o.OnHold)}
	if len(o.Rules) > 0 {
		c.SetRules(o.Rules)
	}
	c.underWay.limit = max(o.Bytes/underWayShare, o.EntryBytes)
	entries, err := otter.New(&otter.Options[digest, *Entry]{
		MaximumWeight: uint64(max(o.Bytes, 1)),
		Weigher:       func(_ digest, e *Entry) uint32 { return e.weight() },
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[digest, *Entry]) time.Duration {
			return e.Value.lifetime + e.Value.stale.longest()
		}),
		OnAtomicDeletion: c.counts.deleted,
		Clock:            &clock{start: time.Now()},
		Executor:         func(maintain func()) { maintain() },
	})
	if err != nil {
		return nil, fmt.Errorf("making the entry store: %w", err)
	}
	c.entries = entries
	return c, nil
}

// clock is time as [time.Now] has it, without ticks: otter starts no goroutine of its own then, and Run cleans up in its place.
type clock struct{ start time.Time }

// NowNano implements [otter.Clock].
func (c *clock) NowNano() int64 { return c.start.UnixNano() + int64(time.Since(c.start)) }

// Tick implements [otter.Clock].
func (c *clock) Tick(time.Duration) <-chan time.Time { return nil }

// cleanUpEvery is how often Run frees what has expired.
const cleanUpEvery = time.Second

// Run frees expired entries until ctx is done, and returns nil then. Without it they go only when room is needed.
func (c *Cache) Run(ctx context.Context) error {
	tick := time.NewTicker(cleanUpEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			c.entries.CleanUp()
		}
	}
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

// put keeps e unless a younger entry is there: the fetch that began later knows more.
func (c *Cache) put(key digest, e *Entry) {
	c.entries.Compute(key, func(old *Entry, found bool) (*Entry, otter.ComputeOp) {
		if found && old.requestedAt.After(e.requestedAt) {
			return old, otter.CancelOp
		}
		return e, otter.WriteOp
	})
}
