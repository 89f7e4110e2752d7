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
	// tellQueue bounds the grants that wait to be told, and tellBatch those that go in one round trip. What finds no room is not told: the other replicas
	// ask upstream.
	tellQueue = 4096
	tellBatch = 64
	// revokeQueue bounds the tokens of which it could not be told that they were refused. Beyond, one that has waited is given up: its grants
	// end by themselves.
	revokeQueue = 4096
)

// told is what Redis is to be told of a token.
type told struct {
	holder Holder
	id     ID
	grant  sharedGrant
}

// revocations are tokens that were refused while Redis was away. Safe for concurrent use.
type revocations struct {
	count atomic.Int64 // of those that wait

	mu     sync.Mutex // guards tokens
	tokens map[[32]byte]told
}

// grantsRun is what [RedisCoherence.Run] needs to do for a [RedisGrants].
type grantsRun struct {
	tells       chan told
	revocations revocations
	untold      atomic.Int64
}

func newGrantsRun() grantsRun {
	return grantsRun{tells: make(chan told, tellQueue), revocations: revocations{tokens: map[[32]byte]told{}}}
}

// Untold returns how many grants and refusals the other replicas were not told of, for want of room or of Redis.
func (c *RedisCoherence) Untold() int64 { return c.grants.untold.Load() }

// ReadFor implements [SharedGrants]: one round trip.
func (g *RedisGrants) ReadFor(ctx context.Context, on Resources, h Holder) (Reading, error) {
	c := g.coherence
	if c.unmarked.any() {
		return Reading{}, errUntouched
	}
	began := time.Now()
	calls := g.readCalls(on, &h)
	if err := run(ctx, c.conn, calls); err != nil {
		return Reading{}, fmt.Errorf("reading generations and a grant: %w", err)
	}
	return g.readingFor(calls, &h, began)
}

// readCalls makes the calls of a read; the last one is about the holder.
func (g *RedisGrants) readCalls(on Resources, h *Holder) []call {
	c := g.coherence
	return append(c.calls(on, c.scripts.read), call{script: c.scripts.word, keys: c.holderKeys(h), args: []any{newIDs(1), idLife(h.TTL)}})
}

// readingFor is what the answers to a read that began at an instant say.
func (g *RedisGrants) readingFor(calls []call, h *Holder, began time.Time) (reading Reading, err error) {
	on, about := calls[:len(calls)-1], &calls[len(calls)-1]
	if err := g.coherence.remember(on); err != nil {
		return Reading{}, err
	}
	if reading, err = readingOf(on); err != nil {
		return reading, err
	}
	var ok bool
	if reading.Word, ok = g.wordOf(about, began, h.TTL); !ok {
		return Reading{}, errOddAnswer
	}
	return reading, nil
}

// wordOf reads what word.lua answered to a call that began at an instant. What is no grant of this deployment's for just this place, under this id, is
// none, and so is one that is over or of the future.
func (g *RedisGrants) wordOf(c *call, began time.Time, ttl time.Duration) (w Word, ok bool) {
	if len(c.answer) != 3 || !w.ID.mix(c.answer[0]) {
		return Word{}, false
	}
	clock, err := strconv.ParseInt(c.answer[2], 10, 64)
	if err != nil {
		return Word{}, false
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
		w.Asked = began.Add(-age)
	}
	return w, true
}

// idLife is how long a token's id is kept, in milliseconds: longer than any grant that was given under it, those included of which Redis was not
// told because they were given soon after another.
func idLife(ttl time.Duration) int64 { return 2 * ttl.Milliseconds() }

// holderKeys are the keys of the token's id and of the grant, both in one slot.
func (c *RedisCoherence) holderKeys(h *Holder) []string {
	tag := hex.EncodeToString(h.Token[:])
	return []string{c.conn.Key("token", tag), c.conn.Key("grant", tag, hex.EncodeToString(h.Place[:]))}
}

// Tell implements [SharedGrants]. It is done by [RedisCoherence.Run].
func (g *RedisGrants) Tell(h Holder, id ID, shared, sent time.Time) {
	c := g.coherence
	grant := g.seal(c.holderKeys(&h)[1], id, seal.Issue{Placed: shared, Made: sent, Life: h.TTL})
	select {
	case c.grants.tells <- told{holder: h, id: id, grant: grant}:
	default:
		c.grants.untold.Add(1)
	}
}

// Revoke implements [SharedGrants]. What fails is tried again by [RedisCoherence.Run].
func (g *RedisGrants) Revoke(ctx context.Context, h Holder, id ID) {
	c, t := g.coherence, told{holder: h, id: id}
	if run(ctx, c.conn, []call{c.revokeCall(&t)}) != nil && !c.grants.revocations.add(t) {
		c.grants.untold.Add(1)
	}
}

func (c *RedisCoherence) revokeCall(t *told) call {
	return call{script: c.scripts.revoke, keys: c.holderKeys(&t.holder)[:1], args: []any{t.id[:], idLife(t.holder.TTL)}}
}

// tell tells Redis of a batch of grants. One that fails is not tried again.
func (c *RedisCoherence) tell(ctx context.Context, batch []told) {
	calls := make([]call, len(batch))
	for i := range batch {
		t := &batch[i]
		calls[i] = call{script: c.scripts.grant, keys: c.holderKeys(&t.holder), args: []any{
			t.id[:], t.grant.digits, t.holder.TTL.Milliseconds(), idLife(t.holder.TTL), t.grant.rest,
		}}
	}
	if run(ctx, c.conn, calls) != nil {
		c.grants.untold.Add(int64(len(batch)))
	}
}

// waitingTells adds to batch what waits, up to a batch's size.
func (c *RedisCoherence) waitingTells(batch []told) []told {
	for len(batch) < tellBatch {
		select {
		case t := <-c.grants.tells:
			batch = append(batch, t)
		default:
			return batch
		}
	}
	return batch
}

// tellAll tells Redis of all grants that wait.
func (c *RedisCoherence) tellAll(ctx context.Context) {
	for batch := c.waitingTells(nil); len(batch) > 0; batch = c.waitingTells(nil) {
		c.tell(ctx, batch)
	}
}

// revokeAgain makes up for refusals that Redis was not told of.
func (c *RedisCoherence) revokeAgain(ctx context.Context) {
	if c.grants.revocations.count.Load() == 0 {
		return
	}
	batch := c.grants.revocations.some(tellBatch)
	calls := make([]call, len(batch))
	for i := range batch {
		calls[i] = c.revokeCall(&batch[i])
	}
	if run(ctx, c.conn, calls) == nil {
		c.grants.revocations.done(batch)
	}
}

// add keeps a token that was refused, and reports whether none was given up for it.
func (r *revocations) add(t told) (kept bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept = true
	if _, ok := r.tokens[t.holder.Token]; !ok && len(r.tokens) >= revokeQueue {
		for token := range r.tokens { // any
			delete(r.tokens, token)
			kept = false
			break
		}
	}
	r.tokens[t.holder.Token] = t
	r.count.Store(int64(len(r.tokens)))
	return kept
}

// some returns up to n of those that wait.
func (r *revocations) some(n int) (batch []told) {
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
func (r *revocations) done(batch []told) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range batch {
		if t := &batch[i]; r.tokens[t.holder.Token].id == t.id {
			delete(r.tokens, t.holder.Token)
		}
	}
	r.count.Store(int64(len(r.tokens)))
}

// AccompanyFor implements [SharedGrants].
func (g *RedisGrants) AccompanyFor(ctx context.Context, on Resources, h Holder) (context.Context, Errand) {
	c := g.coherence
	e := &redisErrand{coherence: c, on: on, about: &inquiry{g, h}, err: errNotBrought}
	return c.conn.WithRider(ctx, e), e
}

// inquiry is a holder of whom a read asks too.
type inquiry struct {
	grants *RedisGrants
	holder Holder
}
