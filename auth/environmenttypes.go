package auth

import (
	"context"
	"errors"
	"sync"
	"time"

	"osgate/internal/flight"
)

// UnknownType is the type of an environment whose type could not be found.
const UnknownType = "unknown"

// EnvironmentLister requests the types of an organization's environments, by id, from a
// control plane. *[Anypoint] implements it. It returns [ErrBadToken] if the token has
// no right to list them, and another error if the types could not be found.
type EnvironmentLister interface {
	ListEnvironments(ctx context.Context, plane, organization string, token Token) (map[string]string, error)
}

// EnvironmentTypesOptions configure [EnvironmentTypes]. Only Lister is required.
type EnvironmentTypesOptions struct {
	Lister EnvironmentLister
	// TTL is how long a type is fresh; 0: 1 h. Then it is requested again, while the
	// old type is returned.
	TTL time.Duration
	// Timeout limits one listing, for which the first caller waits; 0: 5 s.
	Timeout time.Duration
	Max     int // organizations kept; 0: 10,000
}

const (
	environmentsTTL     = time.Hour
	environmentsTimeout = 5 * time.Second
	maxOrganizations    = 10_000
	repeatBackoff       = 30 * time.Second // with a token, after an answer without the environment
	keptTypes           = 24 * time.Hour   // a type that no answer contained for so long is dropped
	failureBackoff      = 5 * time.Second
	maxBackoffs         = 10_000
	maxListings         = 64 // at once
)

// EnvironmentTypes returns whether environments are production, sandbox or design. It
// sends a request to the control plane on first use, with the caller's own token and
// only for organizations that the caller belongs to. The answer is kept and used for
// all callers. Safe for concurrent use.
type EnvironmentTypes struct {
	options EnvironmentTypesOptions
	running sync.WaitGroup

	mu       sync.Mutex // guards the fields below
	closed   bool
	known    map[organizationKey]map[string]knownType // by environment
	flights  map[listingKey]*listing
	backoffs map[listingKey]time.Time // no request before this time
}

// organizationKey identifies an organization of a plane.
type organizationKey struct{ plane, organization string }

// listing is a request for the environments of an organization that is under way. Its
// result is stored before it ends.
type listing = flight.Flight[struct{}]

// listingKey identifies an organization and the token that is used to list its
// environments. A failure with one token does not affect another, and a token may see
// only some environments.
type listingKey struct {
	organizationKey
	token digest
}

// wholePlane returns the key of all listings of a plane.
func wholePlane(at organizationKey) listingKey {
	return listingKey{organizationKey: organizationKey{plane: at.plane}}
}

// planeUnavailable reports whether err means that the plane itself fails, rather than
// one request to it.
func planeUnavailable(err error) bool {
	e, ok := errors.AsType[*UnavailableError](err)
	return ok && (e.Unreached || e.Limited) || errors.Is(err, context.DeadlineExceeded)
}

// knownType is the type of an environment and when it was received.
type knownType struct {
	typ string
	at  time.Time
}

// NewEnvironmentTypes returns an empty EnvironmentTypes.
func NewEnvironmentTypes(o EnvironmentTypesOptions) (*EnvironmentTypes, error) {
	if o.Lister == nil {
		return nil, errors.New("auth: a Lister of environments is required")
	}
	if o.TTL <= 0 {
		o.TTL = environmentsTTL
	}
	if o.Timeout <= 0 {
		o.Timeout = environmentsTimeout
	}
	if o.Max <= 0 {
		o.Max = maxOrganizations
	}
	return &EnvironmentTypes{
		options:  o,
		known:    make(map[organizationKey]map[string]knownType),
		flights:  make(map[listingKey]*listing),
		backoffs: make(map[listingKey]time.Time),
	}, nil
}

// Type returns "production", "sandbox" or "design", or [UnknownType] if the control
// plane cannot be reached, does not list the environment for this caller, or does not
// have it. It waits only if the environment was in no answer before.
func (e *EnvironmentTypes) Type(
	ctx context.Context, id Identity, token Token, organization, environment string,
) string {
	at := organizationKey{id.Plane, organization}
	typ, ask, wait := e.lookup(at, id, environment)
	if !ask {
		return typ
	}
	underWay := e.startListing(ctx, at, id, token)
	if !wait {
		return typ
	}
	_, _ = underWay.Wait(ctx) // after its end, or without it, the known type counts
	typ, _, _ = e.lookup(at, id, environment)
	return typ
}

// lookup returns the known type, whether to send a request to the control plane, and
// whether to wait for its answer.
func (e *EnvironmentTypes) lookup(at organizationKey, id Identity, environment string) (typ string, ask, wait bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	result, listed := e.known[at][environment]
	if typ = result.typ; !listed {
		typ = UnknownType
	}
	resting := now.Before(e.backoffs[listingKey{at, id.lister()}]) || now.Before(e.backoffs[wholePlane(at)])
	if e.closed || resting || !id.Member(at.organization) {
		return typ, false, false
	}
	return typ, !listed || now.Sub(result.at) >= e.options.TTL, !listed
}

// lister identifies the token that lists environments for id: all callers without an
// Anypoint credential share the gateway's own.
func (id Identity) lister() digest {
	if id.Brokered() {
		return digest{}
	}
	return id.Hash
}

// startListing starts a listing, once for all concurrent callers with the same token.
func (e *EnvironmentTypes) startListing(ctx context.Context, at organizationKey, id Identity, token Token) *listing {
	e.mu.Lock()
	defer e.mu.Unlock()
	key := listingKey{at, id.lister()}
	if underWay, ok := e.flights[key]; ok {
		return underWay
	}
	if e.closed || len(e.flights) >= maxListings {
		return flight.Landed(struct{}{})
	}
	started := flight.New[struct{}]()
	e.flights[key] = started
	ctx = context.WithoutCancel(ctx) // others may wait for the answer after this caller's ctx ends
	e.running.Go(func() {
		defer started.Land(struct{}{})
		within, cancel := context.WithTimeout(ctx, e.options.Timeout)
		defer cancel()
		types, err := e.options.Lister.ListEnvironments(within, at.plane, at.organization, token)
		e.learn(key, types, err)
	})
	return started
}

// learn stores the result of a listing, or its failure.
func (e *EnvironmentTypes) learn(key listingKey, types map[string]string, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.flights, key)
	now := time.Now()
	if err != nil {
		makeRoom(e.backoffs, maxBackoffs)
		if planeUnavailable(err) {
			key = wholePlane(key.organizationKey)
		}
		e.backoffs[key] = now.Add(failureBackoff)
		return
	}
	makeRoom(e.backoffs, maxBackoffs)
	e.backoffs[key] = now.Add(repeatBackoff)
	e.keep(key.organizationKey, types, now)
}

// keep stores the types received at now. Environments that are not in types stay: this
// token may lack the right to see them.
func (e *EnvironmentTypes) keep(at organizationKey, types map[string]string, now time.Time) {
	all := e.known[at]
	if all == nil {
		makeRoom(e.known, e.options.Max)
		all = make(map[string]knownType, len(types))
		e.known[at] = all
	}
	for environment, result := range all {
		if now.Sub(result.at) >= keptTypes {
			delete(all, environment)
		}
	}
	for environment, typ := range types {
		all[environment] = knownType{typ, now}
	}
}

// makeRoom drops any entry of m if it is full; it is requested again when needed.
func makeRoom[K comparable, V any](m map[K]V, limit int) {
	for k := range m {
		if len(m) < limit {
			return
		}
		delete(m, k)
	}
}

// Close starts no more listings and waits for those under way, limited by Timeout.
func (e *EnvironmentTypes) Close() {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.running.Wait()
}
