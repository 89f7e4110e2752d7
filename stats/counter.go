package stats

import (
	"context"
	"crypto/rand"
	"hash/maphash"
	"log/slog"
	"maps"
	"slices"
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

func newOutbox(process string) *outbox {
	return &outbox{process: process, queues: make(map[Scope]*queue)}
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

// coarsen changes k to the series into which it counts if there is no room for its own:
// that of its region, then that of its organization. It returns false if there is none.
func (k *series) coarsen() bool {
	switch {
	case k.scope.Store != "":
		k.scope.Store = ""
	case k.scope.Environment != "":
		k.scope = k.scope.organization()
	default:
		return false
	}
	return true
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

const (
	// maxOrganizations bounds how many organizations a process remembers the root of.
	maxOrganizations = 1 << 16
	// saveAgain is the interval at which a tree that is still being learned is written
	// again, for a store that has lost it.
	saveAgain = time.Hour
)

// forest holds the organization trees that this process has learned, before and after
// they are saved.
type forest struct {
	mu    sync.Mutex       // guards the fields below
	trees map[Scope]*tree  // by root organization
	roots map[Scope]string // of sub-organizations
}

type tree struct {
	subs    map[string]bool
	learned bool      // seen since it was saved
	changed bool      // since it was saved
	saved   time.Time // zero: never
}

func newForest() *forest {
	return &forest{trees: make(map[Scope]*tree), roots: make(map[Scope]string)}
}

// LearnTree adds the fact that, according to the control plane, the organizations subs
// are below the root organization root of a plane. Facts learned before stay, because
// counts outlive organizations. With an empty root, their root is unknown. It does not
// block: this process knows the tree at once, and the next flush saves it. Of more than
// 65,536 organizations, those learned last are not remembered.
func (c *Counter) LearnTree(plane, root string, subs []string) {
	if unnamed(plane) || len(root) > maxName {
		return
	}
	c.forest.learn(plane, root, subs)
}

func (f *forest) learn(plane, root string, subs []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := Scope{Plane: plane, Organization: root}
	t := f.trees[at]
	for _, sub := range subs {
		if unnamed(sub) || sub == root || t != nil && t.subs[sub] || len(f.roots) >= maxOrganizations {
			continue
		}
		if t == nil {
			t = &tree{subs: make(map[string]bool)}
			f.trees[at] = t
		}
		t.subs[sub] = true
		t.changed = true
		f.roots[Scope{Plane: plane, Organization: sub}] = root
	}
	if t != nil {
		t.learned = true
	}
}

// save writes the trees that have changed, and at intervals those still being learned.
// It tries each once and returns the first error.
func (f *forest) save(ctx context.Context, store Store, now time.Time) error {
	var first error
	for _, t := range f.due(now) {
		var err error
		for subs := range slices.Chunk(t.Subs, maxScopes) {
			if err = store.SaveTree(ctx, Tree{Plane: t.Plane, Root: t.Root, Subs: subs}); err != nil {
				break
			}
		}
		if err == nil {
			f.savedAt(t, now)
		} else if first == nil {
			first = err
		}
	}
	return first
}

func (f *forest) due(now time.Time) []Tree {
	f.mu.Lock()
	defer f.mu.Unlock()
	var due []Tree
	for root, t := range f.trees {
		if t.changed || t.learned && now.Sub(t.saved) >= saveAgain {
			due = append(due, Tree{Plane: root.Plane, Root: root.Organization, Subs: slices.Sorted(maps.Keys(t.subs))})
		}
	}
	return due
}

func (f *forest) savedAt(saved Tree, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.trees[Scope{Plane: saved.Plane, Organization: saved.Root}]
	t.changed = len(t.subs) != len(saved.Subs) // learned while it was being saved
	t.learned = false
	t.saved = now
}

// find returns the tree that this process has learned of an organization, in the form
// of [Store.Tree].
func (f *forest) find(plane, organization string) Tree {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := Scope{Plane: plane, Organization: organization}
	if root, ok := f.roots[at]; ok {
		return Tree{Plane: plane, Root: root}
	}
	found := Tree{Plane: plane, Root: organization}
	if t := f.trees[at]; t != nil {
		found.Subs = slices.Sorted(maps.Keys(t.subs))
	}
	return found
}

// tree returns the known tree of an organization, from this process and from the store,
// to which other processes write too.
func (c *Counter) tree(ctx context.Context, plane, organization string) (Tree, error) {
	here := c.forest.find(plane, organization)
	if here.Root != organization {
		return here, nil
	}
	there, err := again(ctx, func() (Tree, error) { return c.store.Tree(ctx, plane, organization) })
	if err != nil || there.Root != organization {
		return there, err
	}
	there.Subs = append(there.Subs, here.Subs...)
	slices.Sort(there.Subs)
	there.Subs = slices.Compact(there.Subs)
	return there, nil
}
