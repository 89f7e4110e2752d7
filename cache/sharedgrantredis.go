package cache

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"osgate/internal/seal"
)

const (
	// publishQueue bounds the grants that wait to be told, and tellBatch those that go in one round trip. What finds no room is not told: the other replicas
	// ask upstream.
	publishQueue = 4096
	publishBatch = 64
	// revokeQueue bounds the tokens of which it could not be told that they were refused. Beyond, one that has waited is given up: its grants
	// end by themselves.
	revokeQueue = 4096
)

// tokenUpdate is what Redis is to be told of a token.
type tokenUpdate struct {
	key   SharedGrantKey
	id    ID
	grant sharedGrant
}

// revocations are tokens that were refused while Redis was away. Safe for concurrent use.
type revocations struct {
	count atomic.Int64 // of those that wait

	mu     sync.Mutex // guards tokens
	tokens map[[32]byte]tokenUpdate
}

// grantsRun is what [RedisCoherence.Run] needs to do for a [RedisGrants].
type grantsRun struct {
	updates     chan tokenUpdate
	revocations revocations
	unpublished atomic.Int64
}

func newGrantsRun() grantsRun {
	return grantsRun{updates: make(chan tokenUpdate, publishQueue), revocations: revocations{tokens: map[[32]byte]tokenUpdate{}}}
}

// Unpublished returns how many grants and refusals the other replicas were not told of, for want of room or of Redis.
func (c *RedisCoherence) Unpublished() int64 { return c.grants.unpublished.Load() }

// ReadFor implements [SharedGrants]: one round trip.
func (g *RedisGrants) ReadFor(ctx context.Context, on Resources, key SharedGrantKey) (Reading, error) {
	c := g.coherence
	if c.unmarked.any() {
		return Reading{}, errUnmarked
	}
	began := time.Now()
	calls := g.readCalls(on, &key)
	if err := run(ctx, c.conn, calls); err != nil {
		return Reading{}, fmt.Errorf("reading generations and a grant: %w", err)
	}
	return g.readingFor(calls, &key, began)
}

// readCalls makes the calls of a read; the last one is about the holder.
func (g *RedisGrants) readCalls(on Resources, key *SharedGrantKey) []call {
	c := g.coherence
	return append(c.calls(on, c.scripts.read), call{script: c.scripts.token, keys: c.grantRedisKeys(key), args: []any{newIDs(1), idLife(key.TTL)}})
}

// readingFor is what the answers to a read that began at an instant say.
func (g *RedisGrants) readingFor(calls []call, key *SharedGrantKey, began time.Time) (reading Reading, err error) {
	on, query := calls[:len(calls)-1], &calls[len(calls)-1]
	if err := g.coherence.remember(on); err != nil {
		return Reading{}, err
	}
	if reading, err = readingOf(on); err != nil {
		return reading, err
	}
	var ok bool
	if reading.TokenInfo, ok = g.tokenInfoOf(query, began, key.TTL); !ok {
		return Reading{}, errOddAnswer
	}
	return reading, nil
}

// tokenInfoOf reads what token.lua answered to a call that began at an instant. What is no grant of this deployment's for just this place, under this id, is
// none, and so is one that is over or of the future.
func (g *RedisGrants) tokenInfoOf(c *call, began time.Time, ttl time.Duration) (w TokenInfo, ok bool) {
	if len(c.answer) != 3 || !w.ID.mix(c.answer[0]) {
		return TokenInfo{}, false
	}
	clock, err := strconv.ParseInt(c.answer[2], 10, 64)
	if err != nil {
		return TokenInfo{}, false
	}
	w.Clock, w.Began, w.Ended = time.UnixMicro(clock), began, time.Now()
	if c.answer[1] == "" {
		return w, true
	}
	issue, ok := g.open(c.keys[1], w.ID, c.answer[1])
	if !ok {
		g.unreadable.Add(1)
		return w, true
	}
	issue.Life = min(issue.Life, ttl)
	if age, ok := issue.Age(w.Clock, w.Ended); ok {
		w.RequestedAt = began.Add(-age)
	}
	return w, true
}

// idLife is how long a token's id is kept, in milliseconds: longer than any grant that was given under it, those included of which Redis was not
// tokenUpdate because they were given soon after another.
func idLife(ttl time.Duration) int64 { return 2 * ttl.Milliseconds() }

// grantRedisKeys are the keys of the token's id and of the grant, both in one slot.
func (c *RedisCoherence) grantRedisKeys(key *SharedGrantKey) []string {
	tag := hex.EncodeToString(key.Token[:])
	return []string{c.conn.Key("token", tag), c.conn.Key("grant", tag, hex.EncodeToString(key.Target[:]))}
}

// Publish implements [SharedGrants]. It is done by [RedisCoherence.Run].
func (g *RedisGrants) Publish(key SharedGrantKey, id ID, shared, sent time.Time) {
	c := g.coherence
	grant := g.seal(c.grantRedisKeys(&key)[1], id, seal.Issue{Placed: shared, Made: sent, Life: key.TTL})
	select {
	case c.grants.updates <- tokenUpdate{key: key, id: id, grant: grant}:
	default:
		c.grants.unpublished.Add(1)
	}
}

// Revoke implements [SharedGrants]. What fails is tried again by [RedisCoherence.Run].
func (g *RedisGrants) Revoke(ctx context.Context, key SharedGrantKey, id ID) {
	c, t := g.coherence, tokenUpdate{key: key, id: id}
	if run(ctx, c.conn, []call{c.revokeCall(&t)}) != nil && !c.grants.revocations.add(t) {
		c.grants.unpublished.Add(1)
	}
}

func (c *RedisCoherence) revokeCall(t *tokenUpdate) call {
	return call{script: c.scripts.revoke, keys: c.grantRedisKeys(&t.key)[:1], args: []any{t.id[:], idLife(t.key.TTL)}}
}

// publish tells Redis of a batch of grants. One that fails is not tried again.
func (c *RedisCoherence) publish(ctx context.Context, batch []tokenUpdate) {
	calls := make([]call, len(batch))
	for i := range batch {
		t := &batch[i]
		calls[i] = call{script: c.scripts.grant, keys: c.grantRedisKeys(&t.key), args: []any{
			t.id[:], t.grant.digits, t.key.TTL.Milliseconds(), idLife(t.key.TTL), t.grant.rest,
		}}
	}
	if run(ctx, c.conn, calls) != nil {
		c.grants.unpublished.Add(int64(len(batch)))
	}
}

// waitingUpdates adds to batch what waits, up to a batch's size.
func (c *RedisCoherence) waitingUpdates(batch []tokenUpdate) []tokenUpdate {
	for len(batch) < publishBatch {
		select {
		case t := <-c.grants.updates:
			batch = append(batch, t)
		default:
			return batch
		}
	}
	return batch
}

// publishAll tells Redis of all grants that wait.
func (c *RedisCoherence) publishAll(ctx context.Context) {
	for batch := c.waitingUpdates(nil); len(batch) > 0; batch = c.waitingUpdates(nil) {
		c.publish(ctx, batch)
	}
}

// revokeAgain makes up for refusals that Redis was not told of.
func (c *RedisCoherence) revokeAgain(ctx context.Context) {
	if c.grants.revocations.count.Load() == 0 {
		return
	}
	batch := c.grants.revocations.some(publishBatch)
	calls := make([]call, len(batch))
	for i := range batch {
		calls[i] = c.revokeCall(&batch[i])
	}
	if run(ctx, c.conn, calls) == nil {
		c.grants.revocations.done(batch)
	}
}

// add keeps a token that was refused, and reports whether none was given up for it.
func (r *revocations) add(t tokenUpdate) (kept bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept = true
	if _, ok := r.tokens[t.key.Token]; !ok && len(r.tokens) >= revokeQueue {
		for token := range r.tokens { // any
			delete(r.tokens, token)
			kept = false
			break
		}
	}
	r.tokens[t.key.Token] = t
	r.count.Store(int64(len(r.tokens)))
	return kept
}

// some returns up to n of those that wait.
func (r *revocations) some(n int) (batch []tokenUpdate) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.tokens {
		if len(batch) == n {
			break
		}
		batch = append(batch, t)
	}
	return batch
}

// done forgets what Redis has been told, unless the token was refused again since.
func (r *revocations) done(batch []tokenUpdate) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range batch {
		if t := &batch[i]; r.tokens[t.key.Token].id == t.id {
			delete(r.tokens, t.key.Token)
		}
	}
	r.count.Store(int64(len(r.tokens)))
}

// StartReadFor implements [SharedGrants].
func (g *RedisGrants) StartReadFor(ctx context.Context, on Resources, key SharedGrantKey) (context.Context, PendingRead) {
	c := g.coherence
	e := &redisPendingRead{coherence: c, on: on, query: &grantQuery{g, key}, err: errNoResult}
	return c.conn.WithRider(ctx, e), e
}

// grantQuery is a holder of whom a read asks too.
type grantQuery struct {
	grants *RedisGrants
	key    SharedGrantKey
}
