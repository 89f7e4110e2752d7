package auth

import (
	"context"
	"time"
)

// Shared is a place where gateways with the same secret share identities. It contains
// only accepted tokens. It may forget anything at any time, and must return within a
// fraction of a second. It is safe for concurrent use; *[Redis] implements it.
type Shared interface {
	// Get returns the identity stored under hash.
	Get(ctx context.Context, hash [32]byte) Found
	// Put stores p under hash for lifetime, counted from asked, which is the Clock of
	// an earlier Get.
	Put(ctx context.Context, hash [32]byte, p *Principal, asked time.Time, lifetime time.Duration)
	// Drop deletes the identity stored under hash.
	Drop(ctx context.Context, hash [32]byte)
}

// Found is a result of [Shared].Get. The zero Found means that the place could not be
// read.
type Found struct {
	Principal *Principal    // nil: no usable identity is stored
	Age       time.Duration // since its lookup began; never less than the real age
	// Clock is the place's own clock during the Get; zero: it was not read. It need not
	// agree with the clock of a gateway.
	Clock time.Time
}

// maxFloors limits the floors of single tokens.
const maxFloors = 1 << 16

// floors are the times before which a shared identity of a token is not believed, so
// that a token that was refused, revoked or doubted here is not accepted again because
// of an older shared identity. The owner's lock guards it.
type floors struct {
	of   map[digest]time.Time
	all  time.Time     // the floor of every token
	life time.Duration // a shared identity older than this is not used anyway
}

// raise ignores shared identities of h whose lookup began before now.
func (f *floors) raise(h digest, now time.Time) {
	if len(f.of) >= maxFloors {
		for old, at := range f.of {
			if now.Sub(at) > f.life {
				delete(f.of, old)
			}
		}
	}
	if len(f.of) >= maxFloors { // too many within a short time: forget no floor, but raise that of all tokens
		f.all = now
		clear(f.of)
	}
	f.of[h] = now
}

// above reports whether an identity of h may be believed if its lookup began at asked.
func (f *floors) above(h digest, asked time.Time) bool {
	return asked.After(f.all) && asked.After(f.of[h])
}

// findShared reads the shared identity of h. It returns its verdict, nil if there is
// none, and the result of the Get.
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

// share stores the result of a lookup in the shared place. It waits for that place.
func (a *Authenticator) share(ctx context.Context, h digest, v *verdict, found Found) {
	switch {
	case a.options.Shared == nil:
	case v.principal == nil && (found.Principal != nil || found.Clock.IsZero()):
		a.options.Shared.Drop(ctx, h)
	case v.principal != nil && !found.Clock.IsZero():
		a.options.Shared.Put(ctx, h, v.principal, found.Clock, v.end)
	}
}
