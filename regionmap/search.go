package regionmap

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"osgate/internal/flight"
	"osgate/internal/lengthprefix"
)

// seeker is a caller of Find with its store and its probe.
type seeker struct {
	regions   []Location
	store     digest
	principal string
	probe     Probe
	alone     bool // it has already waited for another caller's flight
}

// search holds all flights under way for one store.
type search struct {
	flights map[string]*searchFlight // by principal
}

// any returns one of the flights, nil if there is none.
func (s *search) any() *searchFlight {
	for _, f := range s.flights {
		return f
	}
	return nil
}

// searchFlight is one probe of all regions, for all callers that wait for its result.
type searchFlight struct {
	principal string
	*flight.Flight[found]
}

// found is the result of a search: a location, or an error.
type found struct {
	location Location
	err      error
}

func landed(principal string, result found) *searchFlight {
	return &searchFlight{principal, flight.Landed(result)}
}

// wait returns the result of the flight, or ctx's error if that ends first.
func (f *searchFlight) wait(ctx context.Context) (Location, error) {
	result, err := f.Wait(ctx)
	if err != nil {
		return Location{}, err
	}
	return result.location, result.err
}

// join returns the flight that a seeker must wait for: a landed flight with the
// remembered result, the caller's own flight, otherwise another caller's unless the
// seeker is alone, otherwise a new one.
func (d *Discovery) join(ctx context.Context, a seeker) *searchFlight {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.settled(a); f != nil {
		return f
	}
	s := d.searches[a.store]
	if s == nil {
		s = &search{flights: map[string]*searchFlight{}}
	}
	own, others := s.flights[a.principal], s.any()
	switch {
	case own != nil:
		return own
	case others != nil && !a.alone:
		return others
	case d.closed || d.flights >= d.options.MaxFlights:
		d.counts.busy.Add(1)
		return landed(a.principal, found{err: ErrBusy})
	}
	d.searches[a.store] = s
	return d.start(ctx, s, a)
}

// settled returns the remembered result for the store or for the caller as a landed
// flight, nil if there is none. It runs under the lock, because a flight may have ended
// between the caller's first check and this one.
func (d *Discovery) settled(a seeker) *searchFlight {
	now := time.Now()
	k, ok := d.recall(a.store, now)
	if ok {
		return landed(a.principal, found{location: k.location})
	}
	if failed, ok := d.failed.GetIfPresent(a.caller()); ok &&
		now.Before(failed.until) && failed.began.After(k.forgotten) {
		return landed(a.principal, found{err: failed.err})
	}
	return nil
}

// start starts the caller's flight, which has its own deadline and outlives its caller.
// d.mu must be held.
func (d *Discovery) start(ctx context.Context, s *search, a seeker) *searchFlight {
	f := &searchFlight{a.principal, flight.New[found]()}
	s.flights[a.principal] = f
	d.flights++
	began := time.Now()
	ctx = context.WithoutCancel(ctx)
	d.searching.Go(func() { // Close waits for it
		o := d.probeAll(ctx, a)
		d.complete(s, f, a, began, o)
		f.Land(found{o.location, o.err})
	})
	return f
}

// caller returns the digest of the store and the principal.
func (a seeker) caller() digest { return lengthprefix.Sum(string(a.store[:]), a.principal) }

// complete stores the result of f, unless the store was forgotten meanwhile.
func (d *Discovery) complete(s *search, f *searchFlight, a seeker, began time.Time, o outcome) {
	d.counts.ended(&o)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.flights--
	delete(s.flights, f.principal)
	if d.searches[a.store] != s {
		return
	}
	if len(s.flights) == 0 {
		delete(d.searches, a.store)
	}
	if o.err == nil {
		d.remember(a.store, o, began)
		return
	}
	life := d.options.AbsentTTL
	if _, silent := errors.AsType[*UndiscoveredError](o.err); silent {
		life = min(life, silentTTL)
	}
	d.failed.Set(a.caller(), failure{err: o.err, began: began, until: time.Now().Add(life), weight: o.weight()})
}

// remember stores the location of a store for TTL, less up to a tenth of it, so that
// stores that were found at the same time do not expire at the same time. If a region
// did not answer, it stores the location only briefly.
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

// probeAll probes all regions at once and waits for each, so that the outcome does not
// depend on the fastest one.
func (d *Discovery) probeAll(ctx context.Context, a seeker) outcome {
	ctx, cancel := context.WithTimeout(ctx, d.options.Timeout)
	defer cancel()
	answers := make([]answer, len(a.regions))
	var probes sync.WaitGroup
	for i, at := range a.regions {
		probes.Go(func() { answers[i].finding, answers[i].err = a.probe(ctx, at) })
	}
	probes.Wait()
	return judge(a.regions, answers, d.options.Map.fallback)
}

// ErrBusy reports that no search can start at the moment: too many searches are under
// way, or the gateway is stopping.
var ErrBusy = errors.New("no further search for a store can start at the moment")

// errNowhere is the result of a search in which no region had the store.
var errNowhere = errors.New("no region has the store")

// AmbiguousError reports that several regions have a store, so that the caller must
// name the region. It unwraps to an *[UnknownError].
type AmbiguousError struct {
	Locations []Location // in the table's order; not to be changed
}

// Error returns a sentence that names the locations and the ways to choose one.
func (e *AmbiguousError) Error() string { return e.unknown().Error() }

// Unwrap returns an *[UnknownError] with the same text.
func (e *AmbiguousError) Unwrap() error { return e.unknown() }

func (e *AmbiguousError) unknown() *UnknownError {
	return &UnknownError{Reason: "this store exists in " + list(e.Locations)}
}

// namingWays are the ways that name a region and are used before discovery.
const namingWays = "the Host of one of the 17 BASE_URLs, a path prefix /{plane}/{region}, the header " + Header +
	": {plane}/{region}, or a route in OSGATE_ROUTES"

// UndiscoveredError reports that no region was found to have a store while others did
// not answer, so that its location is unknown.
type UndiscoveredError struct {
	Silent []Location // the regions that did not answer, in the table's order; not to be changed
	Late   bool       // all of them exceeded the time limit
	causes []error    // the errors of their probes
}

// Error returns a sentence that names the regions and the ways that work without their
// answer.
func (e *UndiscoveredError) Error() string {
	return "no region that answered has this store, and no answer came from " + list(e.Silent) +
		"; try again, or use " + namingWays
}

// Unwrap returns the errors of the probes, in the order of Silent.
func (e *UndiscoveredError) Unwrap() []error { return e.causes }

func list(locations []Location) string {
	names := make([]string, len(locations))
	for i, l := range locations {
		names[i] = l.String()
	}
	return strings.Join(names, ", ")
}

// answer is the result of one probe.
type answer struct {
	finding Finding
	err     error
}

// outcome is the result of a search.
type outcome struct {
	location Location
	partly   bool  // found, but at least one region did not answer
	err      error // errNowhere, *AmbiguousError or *UndiscoveredError
}

// weight returns the approximate number of bytes that a remembered failure uses.
func (o outcome) weight() uint32 {
	size := 512
	if e, ok := errors.AsType[*UndiscoveredError](o.err); ok {
		for _, cause := range e.causes {
			size += 256 + 2*len(cause.Error())
		}
	}
	return uint32(min(size, math.MaxInt32))
}

// judge returns the outcome for the answers of all regions; answers[i] is the answer of
// regions[i]. If several regions have the store and the default is one of them, the
// outcome is the default.
func judge(regions []Location, answers []answer, fallback Location) outcome {
	var found, silent []Location
	var causes []error
	late := true
	for i, a := range answers {
		switch {
		case a.err != nil:
			silent, causes, late = append(silent, regions[i]), append(causes, a.err), late && timedOut(a.err)
		case a.finding == Found:
			found = append(found, regions[i])
		}
	}
	switch {
	case len(found) > 1 && slices.Contains(found, fallback):
		return outcome{location: fallback, partly: len(silent) > 0}
	case len(found) > 1:
		return outcome{err: &AmbiguousError{Locations: found}}
	case len(found) == 1:
		return outcome{location: found[0], partly: len(silent) > 0}
	case len(silent) > 0:
		return outcome{err: &UndiscoveredError{Silent: silent, Late: late, causes: causes}}
	}
	return outcome{err: errNowhere}
}

// timedOut reports whether err is a deadline of a context or of the network.
func timedOut(err error) bool {
	timeout, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return errors.Is(err, context.DeadlineExceeded) || ok && timeout.Timeout()
}

// SearchCounts holds the results of a [Discovery]'s searches since the start. A
// remembered result is not a search.
type SearchCounts struct {
	Found     int64 // one region has the store, or the default region is among several; all regions answered
	Partly    int64 // like Found, but at least one region did not answer
	Nowhere   int64 // no region has the store, or the token may not see it
	Ambiguous int64 // several regions have the store
	Silent    int64 // the store was not found, and at least one region did not answer
	Busy      int64 // not begun, because MaxFlights searches were under way
}

// searchCounts are the numbers behind SearchCounts.
type searchCounts struct{ found, partly, nowhere, ambiguous, silent, busy atomic.Int64 }

// Counts returns the current numbers. They are not read at one instant.
func (d *Discovery) Counts() SearchCounts {
	n := &d.counts
	return SearchCounts{
		Found: n.found.Load(), Partly: n.partly.Load(), Nowhere: n.nowhere.Load(),
		Ambiguous: n.ambiguous.Load(), Silent: n.silent.Load(), Busy: n.busy.Load(),
	}
}

// ended counts the result of a search.
func (n *searchCounts) ended(o *outcome) {
	_, ambiguous := errors.AsType[*AmbiguousError](o.err)
	switch {
	case o.err == nil && o.partly:
		n.partly.Add(1)
	case o.err == nil:
		n.found.Add(1)
	case ambiguous:
		n.ambiguous.Add(1)
	case errors.Is(o.err, errNowhere):
		n.nowhere.Add(1)
	default:
		n.silent.Add(1)
	}
}
