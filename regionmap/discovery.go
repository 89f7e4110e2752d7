package regionmap

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"osgate/objectstore"
)

// DiscoveryOptions configure a [Discovery]. Map is needed; of the rest zero means the default and nothing may be negative.
type DiscoveryOptions struct {
	Map        *Map
	TTL        time.Duration // how long the location of a store is remembered, up to a tenth less by store; 0: 30 minutes
	AbsentTTL  time.Duration // how long it is remembered of a caller that it finds a store nowhere, or in several places; 0: 5 s
	Timeout    time.Duration // of one search, over all its probes; 0: 10 s
	MaxStores  int           // remembered; 0: 100,000, about 18 MB
	MaxFlights int           // searches at once; more are refused with [ErrBusy]; 0: 1,000
}

const (
	foundTTL   = 30 * time.Minute
	partlyTTL  = time.Minute     // of a location found while other regions gave no answer: the store may be there too
	absentTTL  = 5 * time.Second // so that asking for what is nowhere does not multiply a client's quota by the number of regions
	silentTTL  = time.Second     // of a search that failed because regions gave no answer
	searchTime = 10 * time.Second
	maxStores  = 100_000
	maxFlights = 1_000
	maxFailed  = 8 << 20 // bytes of failures remembered, by store and caller: some 10,000

	weakPause   = time.Minute     // between finding or forgetting a store and forgetting it because of missing keys
	strongPause = 5 * time.Second // between two forgettings because of a missing store or partition
)

// Probe asks one location whether it has the store, with the token of whoever searches: a GET of the store itself, which each of the scopes
// read:store, manage:store and manage:store_data allows. It is called for all regions of a plane at once, each in a goroutine of its own, and
// must return when ctx ends. An error means that the location did not say: no answer, a 5xx, a 429, no budget left. It is shown to others with
// the same principal for up to a second, so it holds no more than it says.
type Probe func(ctx context.Context, at Location) (Finding, error)

// Finding is what a location says of a store. The zero value is [Absent].
type Finding int

// The findings.
const (
	Absent Finding = iota // 404: it is not there
	Hidden                // 403: this token learns nothing there
	Found                 // 2xx: it is there
)

// Evidence is how much a 404 says against a location: see [Discovery.Forget].
type Evidence int

// The kinds of evidence.
const (
	Weak   Evidence = iota // an operation on a key got it: perhaps the key alone is missing
	Strong                 // an operation on the store or a partition got it, or the store has been deleted
)

func (e Evidence) pause() time.Duration {
	if e == Strong {
		return strongPause
	}
	return weakPause
}

// Discovery finds the region of a store by asking all regions of its plane, and remembers it. It is safe for concurrent use. Searches run in
// goroutines of their own, each bounded by Timeout; Close waits for them.
type Discovery struct {
	options   DiscoveryOptions
	regions   map[string][]Location // plane -> the regions that may be reached, in the table's order
	known     *otter.Cache[digest, knowledge]
	failed    *otter.Cache[digest, failure] // by store and principal
	searching sync.WaitGroup                // grows only under mu and before closed
	counts    searchCounts

	mu       sync.Mutex         // guards what follows, and orders what is remembered with what is forgotten
	searches map[digest]*search // by store
	flights  int                // in the air, those of forgotten searches too
	closed   bool
}

// digest stands for a store, or for a store and a principal: names may be as long as a request line, what is remembered of them may not.
type digest [sha256.Size]byte

// knowledge is what is remembered of a store.
type knowledge struct {
	location  Location  // zero: nothing, but that it was forgotten
	began     time.Time // the search that found it
	until     time.Time
	forgotten time.Time // when last; zero: never
}

// failure is what a caller is told again of a search that found nothing.
type failure struct {
	err    error
	began  time.Time // the search that found it
	until  time.Time
	weight uint32 // bytes
}

// NewDiscovery returns a Discovery, or an error for options that cannot work. It starts nothing.
func NewDiscovery(o DiscoveryOptions) (*Discovery, error) {
	if o.Map == nil || o.TTL < 0 || o.AbsentTTL < 0 || o.Timeout < 0 || o.MaxStores < 0 || o.MaxFlights < 0 {
		return nil, errors.New("regionmap: discovery needs a map, and nothing negative")
	}
	o.TTL, o.AbsentTTL, o.Timeout = cmp.Or(o.TTL, foundTTL), cmp.Or(o.AbsentTTL, absentTTL), cmp.Or(o.Timeout, searchTime)
	o.MaxStores, o.MaxFlights = cmp.Or(o.MaxStores, maxStores), cmp.Or(o.MaxFlights, maxFlights)
	known, err := otter.New(&otter.Options[digest, knowledge]{MaximumSize: o.MaxStores, InitialCapacity: 256, Executor: inline})
	if err != nil {
		return nil, fmt.Errorf("making the memory of stores: %w", err)
	}
	failed, err := otter.New(&otter.Options[digest, failure]{
		MaximumWeight: maxFailed, Weigher: func(_ digest, f failure) uint32 { return f.weight }, Executor: inline,
	})
	if err != nil {
		return nil, fmt.Errorf("making the memory of failed searches: %w", err)
	}
	d := &Discovery{options: o, regions: map[string][]Location{}, known: known, failed: failed, searches: map[digest]*search{}}
	for _, e := range o.Map.Allowed() {
		d.regions[e.Plane] = append(d.regions[e.Plane], e.Location)
	}
	return d, nil
}

// inline runs a memory's maintenance where it falls due, so that it starts no goroutine.
func inline(maintain func()) { maintain() }

// Find returns the location of ref's store within plane: the one remembered, or the only region that may be reached, or the one region in which
// probe finds it; where it finds several, the default region if that is one of them; where it finds none, the default region if that is in plane.
// Whoever asks for a store that is being looked for waits for that search; what it finds serves everybody, what it does not find only callers
// with the same principal, and others then search themselves. A search outlives those who wait for it; they leave when their ctx ends.
//
// Errors: *[UnknownError] where no region has the store for this caller and there is no default in plane; *[AmbiguousError], which is one too;
// *[UndiscoveredError] where it was not found and some region gave no answer; [ErrBusy]; *[NotAllowedError] for a plane that may not be
// reached; ctx's own.
func (d *Discovery) Find(ctx context.Context, plane string, ref objectstore.Ref, principal string, probe Probe) (Location, error) {
	regions := d.regions[plane]
	switch len(regions) {
	case 0:
		return Location{}, &NotAllowedError{What: "control plane " + plane}
	case 1:
		return regions[0], nil
	}
	s := digestOf(plane, ref.Organization, ref.Environment, ref.Store)
	if k, ok := d.recall(s, time.Now()); ok {
		return k.location, nil
	}
	a := asker{regions: regions, store: s, principal: principal, probe: probe}
	f := d.board(ctx, a)
	location, err := f.wait(ctx)
	if err != nil && f.principal != principal && ctx.Err() == nil {
		a.alone = true // what another caller may not see, this one may
		location, err = d.board(ctx, a).wait(ctx)
	}
	if !errors.Is(err, errNowhere) {
		return location, err
	}
	if fallback := d.options.Map.fallback; fallback.Plane == plane {
		return fallback, nil
	}
	return Location{}, &UnknownError{Reason: "no region of control plane " + plane + " that this gateway may reach has this store for this token"}
}

// Known returns where ref's store is remembered to be within plane, or the only region that may be reached, without asking anybody; Region is empty
// where that is not known.
func (d *Discovery) Known(plane string, ref objectstore.Ref) Location {
	if regions := d.regions[plane]; len(regions) == 1 {
		return regions[0]
	}
	if k, ok := d.recall(digestOf(plane, ref.Organization, ref.Environment, ref.Store), time.Now()); ok {
		return k.location
	}
	return Location{Plane: plane}
}

// Forget drops what is remembered of ref's store if it is that the store is at that location, because an exchange that [Discovery.Find] placed
// there was answered 404: the next one searches again, and what a search under way learns serves those who wait for it already and nobody
// after them. So that missing keys do not turn every request into a search, a store is forgotten on weak evidence only a minute after it was found
// or forgotten, and on strong evidence at most once in 5 s.
func (d *Discovery) Forget(at Location, ref objectstore.Ref, evidence Evidence) {
	s := digestOf(at.Plane, ref.Organization, ref.Environment, ref.Store)
	d.mu.Lock()
	defer d.mu.Unlock()
	k, _ := d.known.GetIfPresent(s)
	elsewhere := k.location != Location{} && k.location != at
	if elsewhere || k.location != at && d.searches[s] == nil {
		return
	}
	now := time.Now()
	if now.Sub(k.forgotten) < evidence.pause() || evidence == Weak && now.Sub(k.began) < weakPause {
		return
	}
	delete(d.searches, s)
	d.known.Set(s, knowledge{forgotten: now})
}

// Close waits for the searches under way, each bounded by Timeout. What would have to be searched later is refused with [ErrBusy].
func (d *Discovery) Close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.searching.Wait()
}

// recall returns what is known of a store and still holds.
func (d *Discovery) recall(store digest, now time.Time) (knowledge, bool) {
	k, ok := d.known.GetIfPresent(store)
	return k, ok && k.location != Location{} && now.Before(k.until)
}

// remember keeps the location of a store: until TTL is over, less up to a tenth of it, so that what was learned at once is not lost at once; only
// briefly if some region gave no answer.
func (d *Discovery) remember(store digest, o outcome, began time.Time) {
	life := d.options.TTL
	life -= life / 10 * time.Duration(binary.BigEndian.Uint16(store[:])) / (1 << 16)
	if o.partly {
		life = min(life, partlyTTL)
	}
	k, _ := d.known.GetIfPresent(store)
	k.location, k.began, k.until = o.location, began, began.Add(life)
	d.known.Set(store, k)
}

// digestOf is the same for the same names alone: the length of each goes before it.
func digestOf(names ...string) digest {
	b := make([]byte, 0, 256)
	for _, name := range names {
		b = binary.AppendUvarint(b, uint64(len(name)))
		b = append(b, name...)
	}
	return sha256.Sum256(b)
}
