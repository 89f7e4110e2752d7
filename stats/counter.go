package stats

import (
	"crypto/rand"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"osgate/record"
)

const (
	defaultMaxSeries = 1 << 16
	defaultInterval  = time.Second
	defaultDrain     = 5 * time.Second

	shards = 16

	// maxName is the length in bytes of the longest name that is counted separately:
	// escaped, five names must fit into a key of every store (bbolt: 32 KiB). Object
	// Store's own names are far shorter.
	maxName = 1024
)

// Options configures a [Counter]. Only Store is required.
type Options struct {
	Store Store

	// Logger logs when the store becomes unavailable or available again, and when
	// counts no longer fit; nil: no logging.
	Logger *slog.Logger

	// MaxSeries bounds how many (plane, organization, environment, region, store, hour)
	// are counted separately in memory, and also how many wait for the store; 0 means
	// 65,536, at about 500 bytes each. Beyond it, operations count for their region or
	// organization only; see [Status].
	MaxSeries int

	// Interval is the time between two flushes; 0 means one second.
	Interval time.Duration

	// Drain bounds the flush at the end of [Counter.Run]; 0 means 5 seconds.
	Drain time.Duration
}

// Counter counts exchanges and answers queries about the counts. Create it with [New].
// Its methods are safe for concurrent use.
type Counter struct {
	store  Store
	logger *slog.Logger
	o      Options

	seed   maphash.Seed
	shards [shards]shard
	held   atomic.Int64 // cells in all shards

	coarsened atomic.Uint64
	dropped   atomic.Uint64

	forest  *forest
	running atomic.Bool

	flushing sync.Mutex // guards outbox and hour, and allows one flush at a time
	outbox   *outbox
	hour     int64 // the hour in which series were last dropped, since the Unix epoch

	mu     sync.Mutex // guards the fields below
	health health
}

// New returns a Counter that writes to o.Store once [Counter.Run] runs. It panics
// without a store.
func New(o Options) *Counter {
	if o.Store == nil {
		panic("stats: no store")
	}
	if o.MaxSeries <= 0 {
		o.MaxSeries = defaultMaxSeries
	}
	if o.Interval <= 0 {
		o.Interval = defaultInterval
	}
	if o.Drain <= 0 {
		o.Drain = defaultDrain
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Counter{
		store:  o.Store,
		logger: o.Logger,
		o:      o,
		seed:   maphash.MakeSeed(),
		forest: newForest(),
		outbox: newOutbox(rand.Text()),
		health: health{flushed: time.Now()},
	}
	for i := range c.shards {
		c.shards[i].cells = make(map[uint64]*cell)
	}
	return c
}

// Keep implements [record.Keeper]. It takes well under a microsecond, and allocates
// memory only for a new series.
func (c *Counter) Keep(x *record.Exchange) {
	if unnamed(x.Plane) || unnamed(x.Organization) {
		return
	}
	n := countsOf(x)
	if n == (Counts{}) {
		return
	}
	k := series{scope: scopeOf(x), hour: x.Start.Unix() / 3600}
	if c.add(&k, &n, int64(c.o.MaxSeries)) {
		return
	}
	// An exchange without room for its own series counts in the levels above, for which
	// a quarter more room is reserved.
	for k.coarsen() {
		if c.add(&k, &n, int64(c.o.MaxSeries+c.o.MaxSeries/4+1)) {
			c.coarsened.Add(1)
			return
		}
	}
	c.dropped.Add(1)
}

func (c *Counter) add(k *series, n *Counts, limit int64) bool {
	h := k.hash(c.seed)
	return c.shards[h%shards].add(k, h, n, &c.held, limit)
}

// countsOf returns the counts of x: the client measures for the answer to the client,
// the upstream measures for the answer of Object Store, even if the client left before
// it.
func countsOf(x *record.Exchange) (n Counts) {
	if x.Counted() {
		n[Client], n[ClientUnits] = 1, uint64(max(0, x.CountedUnits()))
	}
	if x.Billed() {
		n[Upstream], n[UpstreamUnits] = 1, uint64(max(0, x.BilledUnits()))
	}
	return n
}

// scopeOf returns the finest scope that x has names for. The list of regions has no
// environment, and the list of stores has no store. A name too long to be one of Object
// Store's is left out together with the levels below it.
func scopeOf(x *record.Exchange) Scope {
	s := Scope{Plane: x.Plane, Organization: x.Organization}
	switch {
	case unnamed(x.Environment):
	case unnamed(x.Region):
		s.Environment = x.Environment
	case unnamed(x.Store):
		s.Environment, s.Region = x.Environment, x.Region
	default:
		s.Environment, s.Region, s.Store = x.Environment, x.Region, x.Store
	}
	return s
}

// unnamed reports whether name cannot be counted separately.
func unnamed(name string) bool { return name == "" || len(name) > maxName }
