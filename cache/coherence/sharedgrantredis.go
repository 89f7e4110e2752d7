package coherence

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
	// publishQueue bounds the grants that wait to be published, and publishBatch those
	// of one round trip. A grant that finds no room is not published: the other
	// replicas send their requests upstream.
	publishQueue = 4096
	publishBatch = 64
	// revokeQueue bounds the tokens whose revocation failed. Beyond that, one that has
	// waited is dropped: its grants end by themselves.
	revokeQueue = 4096
)

// tokenUpdate is a grant or a revocation to be written to Redis.
type tokenUpdate struct {
	key   GrantKey
	id    ID
	grant sharedGrant
}

// revocations are the tokens that were refused while Redis was unavailable. It is safe
// for concurrent use.
type revocations struct {
	count atomic.Int64 // of those that wait

	mu     sync.Mutex // guards tokens
	tokens map[[32]byte]tokenUpdate
}

// grantsRun is the state that [Redis.Run] needs for a [RedisGrants].
type grantsRun struct {
	updates     chan tokenUpdate
	revocations revocations
	unpublished atomic.Int64
}

// Unpublished returns the number of grants and revocations that were not written to
// Redis, because there was no room or Redis was unavailable.
func (c *Redis) Unpublished() int64 { return c.grants.unpublished.Load() }

// ReadFor implements [SharedGrants]: one round trip.
func (g *RedisGrants) ReadFor(ctx context.Context, on Resources, key GrantKey) (Reading, error) {
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

// readCalls makes the calls of a read; the last one is for the token and its grant.
func (g *RedisGrants) readCalls(on Resources, key *GrantKey) []call {
	c := g.coherence
	return append(c.calls(on, c.scripts.read), g.tokenCall(key))
}

// tokenCall makes the call for a token and its grant.
func (g *RedisGrants) tokenCall(key *GrantKey) call {
	c := g.coherence
	return call{script: c.scripts.token, keys: c.grantRedisKeys(key), args: []any{newIDs(1), idLife(key.TTL)}}
}

// readingFor returns the reading in the answers to a read that began at began.
func (g *RedisGrants) readingFor(calls []call, key *GrantKey, began time.Time) (reading Reading, err error) {
	on, query := calls[:len(calls)-1], &calls[len(calls)-1]
	if err := g.coherence.remember(on); err != nil {
		return Reading{}, err
	}
	if reading, err = readingOf(on); err != nil {
		return reading, err
	}
	return g.withToken(reading, query, key, began)
}

// withToken returns the reading with the answer to the call for the token and its grant.
func (g *RedisGrants) withToken(reading Reading, query *call, key *GrantKey, began time.Time) (Reading, error) {
	var ok bool
	if reading.TokenInfo, ok = g.tokenInfoOf(query, began, key.TTL); !ok {
		return Reading{}, errOddAnswer
	}
	return reading, nil
}

// tokenInfoOf parses the answer of token.lua to a call that began at began. It ignores
// a grant that this deployment did not write for exactly this key and id, and one that
// has ended or is of the future.
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

// idLife is how long a token's id is kept, in milliseconds: longer than any grant that
// was given under it, including those that were not published because another one was
// shortly before.
func idLife(ttl time.Duration) int64 { return 2 * ttl.Milliseconds() }

// grantRedisKeys returns the keys of the token's id and of the grant, both in one slot.
func (c *Redis) grantRedisKeys(key *GrantKey) []string {
	tag := hex.EncodeToString(key.Token[:])
	return []string{c.conn.Key("token", tag), c.conn.Key("grant", tag, hex.EncodeToString(key.Target[:]))}
}

// Publish implements [SharedGrants]. [Redis.Run] does the work.
func (g *RedisGrants) Publish(key GrantKey, id ID, shared, sent time.Time) {
	c := g.coherence
	grant := g.seal(c.grantRedisKeys(&key)[1], id, seal.Issue{Placed: shared, Made: sent, Life: key.TTL})
	select {
	case c.grants.updates <- tokenUpdate{key: key, id: id, grant: grant}:
	default:
		c.grants.unpublished.Add(1)
	}
}

// Revoke implements [SharedGrants]. [Redis.Run] repeats it if it fails.
func (g *RedisGrants) Revoke(ctx context.Context, key GrantKey, id ID) {
	c, t := g.coherence, tokenUpdate{key: key, id: id}
	if run(ctx, c.conn, []call{c.revokeCall(&t)}) != nil && !c.grants.revocations.add(t) {
		c.grants.unpublished.Add(1)
	}
}

func (c *Redis) revokeCall(t *tokenUpdate) call {
	return call{script: c.scripts.revoke, keys: c.grantRedisKeys(&t.key)[:1], args: []any{t.id[:], idLife(t.key.TTL)}}
}

// publish writes a batch of grants to Redis. A batch that fails is not tried again.
func (c *Redis) publish(ctx context.Context, batch []tokenUpdate) {
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

// waitingUpdates adds the grants that wait to batch, up to the size of a batch.
func (c *Redis) waitingUpdates(batch []tokenUpdate) []tokenUpdate {
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

// revokeAgain repeats the revocations that failed.
func (c *Redis) revokeAgain(ctx context.Context) {
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

// add keeps a token whose revocation failed, and reports whether no other was dropped
// for it.
func (r *revocations) add(t tokenUpdate) (kept bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept = true
	if _, ok := r.tokens[t.key.Token]; !ok && len(r.tokens) >= revokeQueue {
		for token := range r.tokens { // any one
			delete(r.tokens, token)
			kept = false
			break
		}
	}
	r.tokens[t.key.Token] = t
	r.count.Store(int64(len(r.tokens)))
	return kept
}

// some returns up to n of the revocations that wait.
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

// done removes the revocations of batch, except those of tokens that were refused again
// since.
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
func (g *RedisGrants) StartReadFor(ctx context.Context, on Resources, key GrantKey) (context.Context, PendingRead) {
	c := g.coherence
	e := &redisPendingRead{coherence: c, on: on, query: &grantQuery{g, key}, err: errNoResult}
	return c.conn.WithRider(ctx, e), e
}

// grantQuery is the grant that a read includes.
type grantQuery struct {
	grants *RedisGrants
	key    GrantKey
}
