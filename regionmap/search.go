package regionmap

import (
	"context"
	"errors"
	"sync"
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
	if failed, ok := d.failed.GetIfPresent(a.caller()); ok && now.Before(failed.until) && failed.began.After(k.forgotten) {
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
