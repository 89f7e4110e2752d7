package broker

import (
	"context"
	"errors"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"osgate/auth"
	"osgate/internal/flight"
)

// How long the organizations of a plane are used before the next use renews them, after
// a success and after a failure, and how long one lookup may take.
const (
	homeLife    = time.Minute
	homeRetry   = 10 * time.Second
	homeTimeout = 15 * time.Second
)

// home is the place of the gateway's connected app on a plane. It is read-only.
type home struct {
	organizations []string
	trees         []auth.Organization
	stale         bool // an earlier answer of a control plane that is down
}

// homes are the homes of all planes. A home stays in use until a lookup replaces it.
type homes struct {
	tokens    Credentials
	directory Directory

	planes     atomic.Pointer[map[string]*homePlane] // replaced as a whole, under mu
	background sync.WaitGroup                        // of lookups; grows only under mu and before closed

	mu     sync.Mutex // guards closed, and the lookups of all planes
	closed bool
}

// homePlane is the home of one plane.
type homePlane struct {
	home    atomic.Pointer[home]
	renewal atomic.Pointer[time.Time]   // when the next use starts a lookup
	lookup  *flight.Flight[foundOrNone] // under way; nil: none
}

// foundOrNone is the result of a lookup.
type foundOrNone struct {
	home *home
	err  error
}

// known returns the home on plane, nil before its first answer. It may start a renewal,
// and never waits for one.
func (s *homes) known(ctx context.Context, plane string, now time.Time) *home {
	p := (*s.planes.Load())[plane]
	if p == nil {
		return nil
	}
	h := p.home.Load()
	if h != nil && now.After(*p.renewal.Load()) {
		s.join(ctx, plane)
	}
	return h
}

// find returns the home on plane. It waits for a lookup, which all callers share.
func (s *homes) find(ctx context.Context, plane string) (*home, error) {
	f := s.join(ctx, plane)
	if f == nil {
		return nil, &auth.UnavailableError{Plane: plane, Cause: errClosed}
	}
	result, err := f.Wait(ctx)
	if err != nil {
		return nil, err //nolint:wrapcheck // the error of ctx
	}
	return result.home, result.err
}

// join returns the lookup under way, or a new one; nil if s is closed.
func (s *homes) join(ctx context.Context, plane string) *flight.Flight[foundOrNone] {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.entry(plane)
	switch {
	case p.lookup != nil:
		return p.lookup
	case s.closed:
		return nil
	}
	f := flight.New[foundOrNone]()
	p.lookup = f
	later := time.Now().Add(homeTimeout + homeRetry) // until the lookup is over, no use starts another
	p.renewal.Store(&later)
	ctx = context.WithoutCancel(ctx)
	s.background.Go(func() { f.Land(s.run(ctx, plane, p)) })
	return f
}

// entry returns the home of a plane. The caller holds mu.
func (s *homes) entry(plane string) *homePlane {
	if p := (*s.planes.Load())[plane]; p != nil {
		return p
	}
	p := &homePlane{}
	more := maps.Clone(*s.planes.Load())
	more[plane] = p
	s.planes.Store(&more)
	return p
}

// run looks up the home on plane. After a failure the old home, if any, stays in use.
func (s *homes) run(ctx context.Context, plane string, p *homePlane) foundOrNone {
	ctx, cancel := context.WithTimeout(ctx, homeTimeout)
	defer cancel()
	found, err := s.lookup(ctx, plane)
	s.mu.Lock()
	defer s.mu.Unlock()
	p.lookup = nil
	next := time.Now().Add(homeLife)
	if err != nil || found.stale {
		next = time.Now().Add(homeRetry)
	}
	p.renewal.Store(&next)
	if err == nil {
		p.home.Store(found)
	}
	return foundOrNone{found, err}
}

// errHomeless is a control plane that refuses new tokens of the gateway.
var errHomeless = errors.New("the control plane refuses new tokens")

// lookup returns the home on plane by the gateway's token. A token that the control
// plane refuses is replaced once. That refusal is never reported as a bad token, which
// would be the caller's fault.
func (s *homes) lookup(ctx context.Context, plane string) (*home, error) {
	for range 2 {
		token, err := s.tokens.Token(ctx, plane)
		if err != nil {
			return nil, unavailable(plane, err)
		}
		id, err := s.directory.Identify(ctx, plane, token, "")
		if err == nil {
			return &home{id.Organizations, id.Trees, id.Stale}, nil
		}
		if !errors.Is(err, auth.ErrBadToken) {
			return nil, unavailable(plane, err)
		}
		s.tokens.Refused(plane, token)
	}
	return nil, &CredentialError{Plane: plane, Cause: errHomeless, RetryAfter: minDelay}
}

// unavailable returns err as one of the errors of Identify: the context of a lookup is
// not the caller's.
func unavailable(plane string, err error) error {
	if _, ok := errors.AsType[*CredentialError](err); ok {
		return err
	}
	if _, ok := errors.AsType[*auth.UnavailableError](err); ok {
		return err
	}
	return &auth.UnavailableError{Plane: plane, Cause: err, RetryAfter: minDelay}
}
