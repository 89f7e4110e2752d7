package regionmap

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"osgate/internal/lengthprefix"
	"osgate/objectstore"
)

// DiscoveryOptions configure a [Discovery]. Map is required. Zero in the other fields
// means the default; no field may be negative.
type DiscoveryOptions struct {
	Map *Map
	// how long the location of a store is remembered, less up to a tenth that depends
	// on the store; 0: 30 minutes
	TTL        time.Duration
	AbsentTTL  time.Duration // how long a caller's result "nowhere" or "in several regions" is remembered; 0: 5 s
	Timeout    time.Duration // time limit of one search with all its probes; 0: 10 s
	MaxStores  int           // stores that are remembered; 0: 100,000, about 18 MB
	MaxFlights int           // searches at the same time; more are refused with [ErrBusy]; 0: 1,000
}

const (
	foundTTL  = 30 * time.Minute
	partlyTTL = time.Minute // for a location found while another region did not answer: the store may be there too
	// so that requests for a missing store do not multiply a client's quota by the
	// number of regions
	absentTTL  = 5 * time.Second
	silentTTL  = time.Second // for a search that failed because regions did not answer
	searchTime = 10 * time.Second
	maxStores  = 100_000
	maxFlights = 1_000
	maxFailed  = 8 << 20 // bytes of remembered failures, by store and caller: about 10,000 failures

	weakPause   = time.Minute     // from finding or forgetting a store to forgetting it because of missing keys
	strongPause = 5 * time.Second // between two times of forgetting a store because it or a partition is missing
)

// Probe sends a GET of the store itself to one location, with the token of the caller
// that searches. Each of the scopes read:store, manage:store and manage:store_data
// allows it. It is called for all regions of a plane at once, each in its own
// goroutine, and must return when ctx ends. An error means that the location gave no
// result: no answer, a 5xx, a 429, no budget left. The error is also returned to other
// callers with the same principal for up to a second, so it must contain nothing else.
type Probe func(ctx context.Context, at Location) (Finding, error)

// Finding is a location's result for a store. The zero value is [Absent].
type Finding int

// The findings.
const (
	Absent Finding = iota // 404: the store does not exist there
	Hidden                // 403: this token may not see whether it exists
	Found                 // 2xx: the store exists there
)

// Evidence is the strength of a 404 as evidence against a location: see
// [Discovery.Forget].
type Evidence int

// The kinds of evidence.
const (
	Weak   Evidence = iota // the 404 of an operation on a key: perhaps only the key is missing
	Strong                 // the 404 of an operation on the store or a partition, or a successful deletion of the store
)

func (e Evidence) pause() time.Duration {
	if e == Strong {
		return strongPause
	}
	return weakPause
}

// Discovery finds the region of a store by sending a probe to all regions of its plane,
// and remembers it. It is safe for concurrent use. Searches run in their own
// goroutines, each limited by Timeout; Close waits for them.
type Discovery struct {
	options   DiscoveryOptions
	regions   map[string][]Location // plane to the allowed regions, in the table's order
	known     *otter.Cache[digest, knowledge]
	failed    *otter.Cache[digest, failure] // by store and principal
	searching sync.WaitGroup                // incremented only under mu and before closed is set
	counts    searchCounts

	mu       sync.Mutex         // guards the fields below, and serializes remembering and forgetting
	searches map[digest]*search // by store
	flights  int                // flights under way, including those of forgotten searches
	closed   bool
}

// digest identifies a store, or a store and a principal. It has a fixed size, because
// names may be as long as a request line.
type digest [sha256.Size]byte

// knowledge is the remembered data about a store.
type knowledge struct {
	location  Location  // zero: the store was forgotten
	began     time.Time // start of the search that found it
	until     time.Time
	forgotten time.Time // the last time; zero: never
}

// failure is the remembered result of a failed search, for one caller.
type failure struct {
	err    error
	began  time.Time // start of the search
	until  time.Time
	weight uint32 // size in bytes
}

// NewDiscovery returns a Discovery, or an error for options that cannot work. It starts
// no goroutine.
func NewDiscovery(o DiscoveryOptions) (*Discovery, error) {
	if o.Map == nil || o.TTL < 0 || o.AbsentTTL < 0 || o.Timeout < 0 || o.MaxStores < 0 || o.MaxFlights < 0 {
		return nil, errors.New("regionmap: discovery: Map is required, and no option may be negative")
	}
	o.TTL, o.AbsentTTL, o.Timeout =
		cmp.Or(o.TTL, foundTTL), cmp.Or(o.AbsentTTL, absentTTL), cmp.Or(o.Timeout, searchTime)
	o.MaxStores, o.MaxFlights = cmp.Or(o.MaxStores, maxStores), cmp.Or(o.MaxFlights, maxFlights)
	known, err := otter.New(&otter.Options[digest, knowledge]{
		MaximumSize: o.MaxStores, InitialCapacity: 256, Executor: inline,
	})
	if err != nil {
		return nil, fmt.Errorf("creating the cache of stores: %w", err)
	}
	failed, err := otter.New(&otter.Options[digest, failure]{
		MaximumWeight: maxFailed, Weigher: func(_ digest, f failure) uint32 { return f.weight }, Executor: inline,
	})
	if err != nil {
		return nil, fmt.Errorf("creating the cache of failed searches: %w", err)
	}
	d := &Discovery{
		options: o, regions: map[string][]Location{},
		known: known, failed: failed, searches: map[digest]*search{},
	}
	for _, e := range o.Map.Allowed() {
		d.regions[e.Plane] = append(d.regions[e.Plane], e.Location)
	}
	return d, nil
}

// inline runs a cache's maintenance in the goroutine that needs it, so that the cache
// starts no goroutine.
func inline(maintain func()) { maintain() }

// Find returns the location of ref's store within plane: the remembered one, or the
// only allowed region, or the one region in which probe finds the store. If probe finds
// it in several, it returns the default region if that is one of them. If probe finds
// it in none, it returns the default region if that is in plane. A caller for whose
// store a search is under way waits for that search. A location that it finds is
// returned to every caller; a failure only to callers with the same principal, and the
// others then search themselves. A search outlives its callers; they leave when their
// ctx ends.
//
// Errors: *[UnknownError] if no region has the store for this caller and no default is
// in plane; *[AmbiguousError], which is an UnknownError too; *[UndiscoveredError] if
// the store was not found and at least one region did not answer; [ErrBusy];
// *[NotAllowedError] for a plane that may not be reached; ctx's error.
func (d *Discovery) Find(
	ctx context.Context, plane string, ref objectstore.Ref, principal string, probe Probe,
) (Location, error) {
	regions := d.regions[plane]
	switch len(regions) {
	case 0:
		return Location{}, &NotAllowedError{What: "control plane " + plane}
	case 1:
		return regions[0], nil
	}
	s := lengthprefix.Sum(plane, ref.Organization, ref.Environment, ref.Store)
	if k, ok := d.recall(s, time.Now()); ok {
		return k.location, nil
	}
	a := seeker{regions: regions, store: s, principal: principal, probe: probe}
	f := d.join(ctx, a)
	location, err := f.wait(ctx)
	if err != nil && f.principal != principal && ctx.Err() == nil {
		a.alone = true // this caller may be allowed to see more than the other one
		location, err = d.join(ctx, a).wait(ctx)
	}
	if !errors.Is(err, errNowhere) {
		return location, err
	}
	if fallback := d.options.Map.fallback; fallback.Plane == plane {
		return fallback, nil
	}
	return Location{}, &UnknownError{Reason: "no region of control plane " + plane +
		" that this gateway may reach has this store for this token"}
}

// Known returns the remembered location of ref's store within plane, or the only
// allowed region, without a search. Region is empty if the location is not known.
func (d *Discovery) Known(plane string, ref objectstore.Ref) Location {
	if regions := d.regions[plane]; len(regions) == 1 {
		return regions[0]
	}
	if k, ok := d.recall(lengthprefix.Sum(plane, ref.Organization, ref.Environment, ref.Store), time.Now()); ok {
		return k.location
	}
	return Location{Plane: plane}
}

// Forget removes the remembered location of ref's store if it is at, because an
// exchange that [Discovery.Find] placed there was answered 404: the next exchange
// searches again, and the result of a search under way is returned only to the callers
// that already wait for it. To keep missing keys from turning every request into a
// search, weak evidence counts only a minute after the store was found or forgotten,
// and strong evidence at most once in 5 s.
func (d *Discovery) Forget(at Location, ref objectstore.Ref, evidence Evidence) {
	s := lengthprefix.Sum(at.Plane, ref.Organization, ref.Environment, ref.Store)
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

// Close waits for the searches under way, each limited by Timeout. Later searches are
// refused with [ErrBusy].
func (d *Discovery) Close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.searching.Wait()
}

// recall returns the location of a store if it is remembered and still valid.
func (d *Discovery) recall(store digest, now time.Time) (knowledge, bool) {
	k, ok := d.known.GetIfPresent(store)
	return k, ok && k.location != Location{} && now.Before(k.until)
}
