package cache

import (
	"context"
	"crypto/sha256"
	"time"

	"osgate/cache/coherence"
	"osgate/objectstore"
)

// sharedGrantKey returns the key of the token and target in the shared store.
func (c *Cache) sharedGrantKey(token [32]byte, target digest) coherence.GrantKey {
	key := coherence.GrantKey{Token: tokenName(token), TTL: c.options.GrantTTL}
	b := make([]byte, 0, 128)
	b = append(appendPart(b, "osgate shared grant 1"), token[:]...)
	key.Target = sha256.Sum256(append(b, target[:]...))
	return key
}

func tokenName(token [32]byte) digest {
	b := make([]byte, 0, 64)
	return sha256.Sum256(append(appendPart(b, "osgate shared token 1"), token[:]...))
}

// sharesGrants reports whether grants are shared. Their life must be at least a
// millisecond, the unit of Redis's expiry.
func (c *Cache) sharesGrants() bool {
	return c.options.SharedGrants != nil && c.options.GrantTTL >= time.Millisecond
}

// sharesGrants reports whether the question needs a grant, and grants are shared.
func (s *Search) sharesGrants() bool { return !s.question.Granted && s.cache.sharesGrants() }

// granted reports whether the token holds a grant at now, and whether it has held one
// (rule 1 of grants).
func (s *Search) granted(now time.Time) (alive, held bool) {
	if s.question.Granted {
		return true, true
	}
	alive, held, id := s.cache.grants.Alive(s.question.Token, s.target, now)
	if s.cache.sharesGrants() && (s.token == (coherence.ID{}) || id != s.token) {
		return false, false
	}
	return alive, held
}

// Grant records that upstream answered q's token with a 2xx. Now is the time when the
// request was sent upstream: the token had the right at that moment or later, so that a
// right that is revoked ends within GrantTTL.
func (c *Cache) Grant(q Question, now time.Time) {
	if q.Granted || q.Operation.CacheKind() == objectstore.CacheNone {
		return
	}
	target := grantTarget(&q)
	if id, shared, publish := c.grants.Add(q.Token, target, now); publish {
		c.options.SharedGrants.Publish(c.sharedGrantKey(q.Token, target), id, shared, now)
	}
}

// Revoke revokes all grants of the token, in this process and in the shared store,
// because upstream has answered it with a 401 or 403. Answers to earlier requests do
// not count any more. Revoke waits until the other replicas can see it, at most as long
// as one round trip may take. The end of ctx does not cut it short.
func (c *Cache) Revoke(ctx context.Context, token [32]byte) {
	id := coherence.NewID()
	c.grants.Revoke(token, id, time.Now())
	if c.sharesGrants() {
		c.options.SharedGrants.Revoke(context.WithoutCancel(ctx),
			coherence.GrantKey{Token: tokenName(token), TTL: c.options.GrantTTL}, id)
	}
}
