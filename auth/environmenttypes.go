package auth

import (
	"context"
	"errors"
	"sync"
	"time"
)

// UnknownType is the type of an environment of which nobody could tell another.
const UnknownType = "unknown"

// EnvironmentLister asks a control plane for the types of an organization's environments, by id. *[Anypoint] is one. Its errors are [ErrBadToken] where
// the token may not ask, else that nobody knows.
type EnvironmentLister interface {
	ListEnvironments(ctx context.Context, plane, organization string, token Token) (map[string]string, error)
}

// EnvironmentTypesOptions set up [EnvironmentTypes]. Only Lister has to be given.
type EnvironmentTypesOptions struct {
	Lister  EnvironmentLister
	TTL     time.Duration // how long a type is taken as it is; 0: 1 h. Then it is asked for again while the old one serves
	Timeout time.Duration // for one asking, which the first who needs it waits for; 0: 5 s
	Max     int           // organizations kept; 0: 10,000
}

const (
	environmentsTTL     = time.Hour
	environmentsTimeout = 5 * time.Second
	maxOrganizations    = 10_000
	repeatBackoff       = 30 * time.Second // with a token after an answer that did not have the environment
	keptTypes           = 24 * time.Hour   // what no answer has had for so long is gone
	failureBackoff      = 5 * time.Second
	maxBackoffs         = 10_000
	maxListings         = 64 // at once
)

// EnvironmentTypes knows which environments are production, sandbox or design. A plane is asked on first use, with the caller's own token and only for
// organizations that the caller belongs to; what it says is a fact that serves everybody and is kept. Safe for concurrent use.
type EnvironmentTypes struct {
	options EnvironmentTypesOptions
	running sync.WaitGroup

	mu       sync.Mutex // guards all below
	closed   bool
	known    map[organizationKey]map[string]knownType // by environment
	flights  map[listingKey]chan struct{}
	backoffs map[listingKey]time.Time // until when it is not asked again
}

// place is an organization of a plane.
type organizationKey struct{ plane, organization string }

// asking is a place that is asked about with a token. One token's failure is not another's, and a token may be told of some environments only.
type listingKey struct {
	organizationKey
	token digest
}

// wholePlane stands for all askings of a plane.
func wholePlane(at organizationKey) listingKey {
	return listingKey{organizationKey: organizationKey{plane: at.plane}}
}

// away reports whether err says that the plane itself is in trouble, and not what was asked of it.
func planeUnavailable(err error) bool {
	e, ok := errors.AsType[*UnavailableError](err)
	return ok && (e.Unreached || e.Limited) || errors.Is(err, context.DeadlineExceeded)
}

// told is what was said of an environment.
type knownType struct {
	typ string
	at  time.Time
}

// NewEnvironmentTypes returns EnvironmentTypes that know nothing yet.
func NewEnvironmentTypes(o EnvironmentTypesOptions) (*EnvironmentTypes, error) {
	if o.Lister == nil {
		return nil, errors.New("auth: no lister of environments")
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
	return &EnvironmentTypes{options: o, known: make(map[organizationKey]map[string]knownType), flights: make(map[listingKey]chan struct{}), backoffs: make(map[listingKey]time.Time)}, nil
}

// Type returns "production", "sandbox" or "design", [UnknownType] where the control plane cannot be asked, does not tell this caller, or knows no such
// environment. It waits only for what nobody has asked before.
func (e *EnvironmentTypes) Type(ctx context.Context, id Identity, token Token, organization, environment string) string {
	at := organizationKey{id.Plane, organization}
	typ, ask, wait := e.lookup(at, id, environment)
	if !ask {
		return typ
	}
	answered := e.startListing(ctx, at, id, token)
	if !wait {
		return typ
	}
	select {
	case <-answered:
	case <-ctx.Done():
	}
	typ, _, _ = e.lookup(at, id, environment)
	return typ
}

// look returns what is known, whether the control plane is to be asked, and whether that is worth waiting for.
func (e *EnvironmentTypes) lookup(at organizationKey, id Identity, environment string) (typ string, ask, wait bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	result, listed := e.known[at][environment]
	if typ = result.typ; !listed {
		typ = UnknownType
	}
	resting := now.Before(e.backoffs[listingKey{at, id.Hash}]) || now.Before(e.backoffs[wholePlane(at)])
	if e.closed || resting || !id.Member(at.organization) {
		return typ, false, false
	}
	return typ, !listed || now.Sub(result.at) >= e.options.TTL, !listed
}

// ask has the plane asked, once for all who want to know with the same token, and returns a channel that is closed when it has answered.
func (e *EnvironmentTypes) startListing(ctx context.Context, at organizationKey, id Identity, token Token) <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	key := listingKey{at, id.Hash}
	if answered, ok := e.flights[key]; ok {
		return answered
	}
	answered := make(chan struct{})
	if e.closed || len(e.flights) >= maxListings {
		close(answered)
		return answered
	}
	e.flights[key] = answered
	ctx = context.WithoutCancel(ctx) // others may wait for the answer when this caller has left
	e.running.Go(func() {
		defer close(answered)
		within, cancel := context.WithTimeout(ctx, e.options.Timeout)
		defer cancel()
		types, err := e.options.Lister.ListEnvironments(within, at.plane, at.organization, token)
		e.learn(key, types, err)
	})
	return answered
}

// learn keeps what was said, or that nothing was.
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

// keep takes in what was said at now. What it leaves out, this token may not see, and others may.
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

// makeRoom drops any entry of m if it is full: what is dropped is asked for again.
func makeRoom[K comparable, V any](m map[K]V, limit int) {
	for k := range m {
		if len(m) < limit {
			return
		}
		delete(m, k)
	}
}

// Close ends the asking: nothing more is asked, and it returns when what was under way is over, bounded by Timeout.
func (e *EnvironmentTypes) Close() {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.running.Wait()
}
