package regionmap

import (
	"context"
	"errors"
	"sync"
	"time"
)

// asker is who looks for which store, and how.
type asker struct {
	regions   []Location
	store     digest
	principal string
	probe     Probe
	alone     bool // has waited for another caller's flight already
}

// search is all flights under way for one store.
type search struct {
	flights map[string]*flight // by principal
}

// any returns one of the flights, nil if there is none.
func (s *search) any() *flight {
	for _, f := range s.flights {
		return f
	}
	return nil
}

// flight is one asking of all regions, for all who wait for the same.
type flight struct {
	principal string
	done      chan struct{} // closed when it is over: what follows is read only then
	location  Location
	err       error
}

func landed(principal string, l Location, err error) *flight {
	f := &flight{principal: principal, done: make(chan struct{}), location: l, err: err}
	close(f.done)
	return f
}

// wait returns what the flight found, or ctx's error if that ends first.
func (f *flight) wait(ctx context.Context) (Location, error) {
	select {
	case <-f.done:
		return f.location, f.err
	case <-ctx.Done():
		return Location{}, ctx.Err()
	}
}

// board returns the flight that an asker waits for: what is settled already, the caller's own flight, else another caller's unless the
// asker goes alone, else a new one.
func (d *Discovery) board(ctx context.Context, a asker) *flight {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.settled(a); f != nil {
		return f
	}
	s := d.searches[a.store]
	if s == nil {
		s = &search{flights: map[string]*flight{}}
	}
	own, others := s.flights[a.principal], s.any()
	switch {
	case own != nil:
		return own
	case others != nil && !a.alone:
		return others
	case d.closed || d.flights >= d.options.MaxFlights:
		d.counts.busy.Add(1)
		return landed(a.principal, Location{}, ErrBusy)
	}
	d.searches[a.store] = s
	return d.start(ctx, s, a)
}

// settled returns as a landed flight what is remembered of the store or of the caller's own search for it, looked up under the lock because a
// flight may have landed between the caller's look and its turn here; nil if nothing is.
func (d *Discovery) settled(a asker) *flight {
	now := time.Now()
	k, ok := d.recall(a.store, now)
	if ok {
		return landed(a.principal, k.location, nil)
	}
	if failed, ok := d.failed.GetIfPresent(a.caller()); ok && now.Before(failed.until) && failed.began.After(k.forgotten) {
		return landed(a.principal, Location{}, failed.err)
	}
	return nil
}

// start starts the caller's flight, which has a deadline of its own and outlives whoever started it. The lock is held.
func (d *Discovery) start(ctx context.Context, s *search, a asker) *flight {
	f := &flight{principal: a.principal, done: make(chan struct{})}
	s.flights[a.principal] = f
	d.flights++
	began := time.Now()
	ctx = context.WithoutCancel(ctx)
	d.searching.Go(func() { // Close waits for it
		defer close(f.done)
		o := d.ask(ctx, a)
		f.location, f.err = o.location, o.err
		d.land(s, f, a, began, o)
	})
	return f
}

// caller stands for the store and who asks for it.
func (a asker) caller() digest { return digestOf(string(a.store[:]), a.principal) }

// land keeps what f learned, unless the store was forgotten meanwhile.
func (d *Discovery) land(s *search, f *flight, a asker, began time.Time, o outcome) {
	d.counts.landed(&o)
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

// ask probes all regions at once and waits for each, so that the outcome does not depend on which is fastest.
func (d *Discovery) ask(ctx context.Context, a asker) outcome {
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
