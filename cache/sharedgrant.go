package cache

import (
	"context"
	"crypto/sha256"
	"time"

	"osgate/objectstore"
)

// SharedGrants is where the caches of one deployment keep the grants of tokens for each other. It is the place where their [Coherence] is, so that
// grants travel with the generations: [*RedisGrants] is one. Tokens must be hashed alike everywhere. It may forget anything at any time. Safe for
// concurrent use.
type SharedGrants interface {
	// ReadFor is [Coherence].Read, and brings the holder's [TokenInfo] in the reading.
	ReadFor(ctx context.Context, on Resources, key SharedGrantKey) (Reading, error)

	// StartReadFor is [ReadStarter].StartRead of a ReadFor.
	StartReadFor(ctx context.Context, on Resources, key SharedGrantKey) (context.Context, PendingRead)

	// Publish keeps a grant that the holder was given under the id by a request. When that was sent is told by the clock that a word gave
	// (shared) and by ours (sent). It does not wait, and it may be lost. It does nothing if the id is no longer the holder's.
	Publish(key SharedGrantKey, id ID, shared, sent time.Time)

	// Revoke gives the holder's token the id, so that all its grants are gone; the holder's place is of no account. It waits no longer
	// than one round trip may take. Where it cannot be done, it is tried again later.
	Revoke(ctx context.Context, key SharedGrantKey, id ID)
}

// SharedGrantKey names a token and a place for which it may hold a grant. The names are digests over the token's keyed hash: who does not have
// that cannot guess them.
type SharedGrantKey struct {
	Token, Target [sha256.Size]byte
	TTL           time.Duration // how long a grant lives
}

// TokenInfo is what a [SharedGrants] says of a holder. The zero Word says nothing.
type TokenInfo struct {
	ID          ID        // the token's
	RequestedAt time.Time // when upstream was asked for the grant, by our clock, or somewhat before that; zero: there is no grant
	Clock       time.Time // the clock of the shared place when it said so

	Began, Ended time.Time // the question, by our clock
}

// key names the question's token and place to the other replicas.
func (c *Cache) sharedGrantKey(token [32]byte, target digest) SharedGrantKey {
	key := SharedGrantKey{Token: tokenName(token), TTL: c.options.GrantTTL}
	b := make([]byte, 0, 128)
	b = append(appendPart(b, "osgate shared grant 1"), token[:]...)
	key.Target = sha256.Sum256(append(b, target[:]...))
	return key
}

func tokenName(token [32]byte) digest {
	b := make([]byte, 0, 64)
	return sha256.Sum256(append(appendPart(b, "osgate shared token 1"), token[:]...))
}

// sharesGrants reports whether grants are shared, which takes a life that can be told in Redis's milliseconds.
func (c *Cache) sharesGrants() bool {
	return c.options.SharedGrants != nil && c.options.GrantTTL >= time.Millisecond
}

// startRead begins the search's Read, with its token's grant where those are shared. The errand is nil where nothing travels.
func (s *Search) startRead(ctx context.Context) (context.Context, PendingRead) {
	if s.cache.sharesGrants() {
		s.target = grantTarget(&s.question)
		return s.cache.options.SharedGrants.StartReadFor(ctx, s.on, s.cache.sharedGrantKey(s.question.Token, s.target))
	}
	if starter, ok := s.cache.options.Coherence.(ReadStarter); ok {
		return starter.StartRead(ctx, s.on)
	}
	return ctx, nil
}

// read returns the generations that have traveled, once, or asks for them, and learns what came with them of the token.
func (s *Search) read(ctx context.Context) (reading Reading, err error) {
	shares := s.cache.sharesGrants()
	s.target = grantTarget(&s.question)
	switch pendingRead := s.pendingRead; {
	case pendingRead != nil:
		s.pendingRead = nil
		reading, err = pendingRead.Read(ctx)
	case shares:
		reading, err = s.cache.options.SharedGrants.ReadFor(ctx, s.on, s.cache.sharedGrantKey(s.question.Token, s.target))
	default:
		reading, err = s.cache.options.Coherence.Read(ctx, s.on)
	}
	if s.token = reading.TokenInfo.ID; shares && s.token != (ID{}) {
		s.cache.grants.learn(s.question.Token, s.target, &reading.TokenInfo)
	}
	return reading, err
}

// granted reports whether the token holds a grant at now, and whether it has held one (rule 1 of grants).
func (s *Search) granted(now time.Time) (alive, held bool) {
	alive, held, id := s.cache.grants.alive(s.question.Token, s.target, now)
	if s.cache.sharesGrants() && (s.token == (ID{}) || id != s.token) {
		return false, false
	}
	return alive, held
}

// Grant remembers that upstream answered q's token 2xx. Now is when the request was sent upstream: the right was there at that moment or
// later, so that a right that is taken away ends within GrantTTL.
func (c *Cache) Grant(q Question, now time.Time) {
	if q.Operation.CacheKind() == objectstore.CacheNone {
		return
	}
	target := grantTarget(&q)
	if id, shared, publish := c.grants.add(q.Token, target, now); publish {
		c.options.SharedGrants.Publish(c.sharedGrantKey(q.Token, target), id, shared, now)
	}
}

// Revoke takes all grants of the token away, here and where they are shared, because upstream has answered it 401 or 403. Answers to what was
// requestedAt before count no more. It waits until the other replicas can know, no longer than one round trip to them may take; that ctx ends does
// not cut it short.
func (c *Cache) Revoke(ctx context.Context, token [32]byte) {
	id := newID()
	c.grants.revoke(token, id, time.Now())
	if c.sharesGrants() {
		c.options.SharedGrants.Revoke(context.WithoutCancel(ctx), SharedGrantKey{Token: tokenName(token), TTL: c.options.GrantTTL}, id)
	}
}
