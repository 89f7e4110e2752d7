package auth

import (
	"context"
	"time"
)

// Shared is where gateways with the same secret find each other's identities. Only yeses are in it. It may forget anything at any time, and must answer or
// give up within a fraction of a second. It is safe for concurrent use; *[Redis] is one.
type Shared interface {
	// Get returns what is kept under hash.
	Get(ctx context.Context, hash [32]byte) Found
	// Put keeps p under hash for lifetime from asked on, an instant that an earlier Get gave as Clock.
	Put(ctx context.Context, hash [32]byte, p *Principal, asked time.Time, lifetime time.Duration)
	// Drop forgets what is kept under hash.
	Drop(ctx context.Context, hash [32]byte)
}

// Found is what a [Shared] says of a hash. The zero Found says that it could not be asked.
type Found struct {
	Principal *Principal    // nil: nothing of use is kept
	Age       time.Duration // since its control plane was asked; never less than that really is
	Clock     time.Time     // the clock of the place itself while it looked; zero: not asked. No clock of a gateway need agree with it
}

// maxFloors bounds the floors of single tokens.
const maxFloors = 1 << 16

// floors remember since when each token's shared yes may be believed again, so that what was refused, revoked or doubted here is not taken back from a
// place that does not know yet. The owner's lock is around all calls.
type floors struct {
	of   map[digest]time.Time
	all  time.Time     // the floor of every token
	life time.Duration // after which no shared yes is of use anyway
}

// raise lets only what was asked after now count for h.
func (f *floors) raise(h digest, now time.Time) {
	if len(f.of) >= maxFloors {
		for old, at := range f.of {
			if now.Sub(at) > f.life {
				delete(f.of, old)
			}
		}
	}
	if len(f.of) >= maxFloors { // so many within so short a time: forget no floor, rather raise everybody's
		f.all = now
		clear(f.of)
	}
	f.of[h] = now
}

// above reports whether a yes for h that was asked at an instant may be believed.
func (f *floors) above(h digest, asked time.Time) bool {
	return asked.After(f.all) && asked.After(f.of[h])
}

// find looks for h among the shared identities. It returns the verdict found, nil if there is none, and what was found.
func (a *Authenticator) findShared(ctx context.Context, h digest) (*verdict, Found) {
	if a.options.Shared == nil {
		return nil, Found{}
	}
	began := time.Now()
	found := a.options.Shared.Get(ctx, h)
	if found.Principal == nil {
		return nil, found
	}
	return a.yes(found.Principal, began.Add(-max(0, found.Age))), found
}

// tellOthers keeps the outcome of an asking where the other gateways look. It waits for that place.
func (a *Authenticator) share(ctx context.Context, h digest, v *verdict, found Found) {
	switch {
	case a.options.Shared == nil:
	case v.principal == nil && (found.Principal != nil || found.Clock.IsZero()):
		a.options.Shared.Drop(ctx, h)
	case v.principal != nil && !found.Clock.IsZero():
		a.options.Shared.Put(ctx, h, v.principal, found.Clock, v.end)
	}
}
