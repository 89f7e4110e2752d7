package coherence

import (
	"sync"
	"time"

	"osgate/internal/recent"
)

// The bounds of the state per token. A token whose state is dropped needs a new answer
// from upstream.
const (
	grantShards    = 64
	tokensPerShard = 2048 // per shard, twice that at most
	grantsPerShard = 4096 // grants per shard, twice that at most
)

// agePeriod is how long the state of a token that is not used is kept at least, and the
// life of a grant if that is longer. It is longer than an answer to a request from before
// a refusal may take.
const agePeriod = 10 * time.Minute

// publishShare is the part of its life, 1 divided by this, by which a grant must be
// newer before it is published to the other replicas again.
const publishShare = 4

// Grants records which token upstream itself has answered for which kind of read, and
// when. Grants are stored under a random id of the token. To revoke a token's grants is
// to give it a new id; dropping the id revokes them too.
//
// If replicas share grants ([SharedGrants]), the id is the one in the shared store.
// Five rules keep the local state consistent with it:
//
//  1. Every read returns the token's id together with the generations. A grant counts only
//     if it was given under that id, so that a right that another replica has seen revoked
//     ends with the first read that begins after that.
//  2. An answer counts as a grant only if its request was sent after the present id was
//     known here: a request sent before may be older than the revocation. The shared store
//     accepts a grant only while the id under which it was given is still the token's.
//  3. A token info that was read before the present id was known, and contains another id,
//     is older than the known state and is ignored.
//  4. A grant lives from the time when its request was sent. On its way into the shared
//     store and out of it that time is rounded to the past. An instant of the shared clock
//     is the last reading of that clock plus the local time since then. An instant of the
//     local clock is the start of the read minus the age by the shared clock.
//  5. After a refusal no answer to an earlier request counts here, whether or not the shared
//     store has recorded the refusal yet.
type Grants struct {
	ttl    time.Duration
	shards [grantShards]grantShard
}

type grantShard struct {
	mu     sync.Mutex // guards the fields below
	tokens recent.Map[[32]byte, tokenState]
	given  recent.Map[grantKey, grant]
	aged   time.Time // when tokens and given were last aged
}

// age drops what was not used for a period, so that tokens that have ended take no
// memory.
func (s *grantShard) age(now time.Time, period time.Duration) {
	if now.Sub(s.aged) >= period {
		s.tokens.Age()
		s.given.Age()
		s.aged = now
	}
}

// tokenState is the state of a token. Answers to requests sent before since or floor do
// not count.
type tokenState struct {
	id    ID
	since time.Time // when the id became known here
	floor time.Time // when upstream last refused the token, as far as this process has seen

	sharedClock time.Time // the last reading of the shared store's clock; zero: never
	clockReadAt time.Time // the local time of that reading
}

type grantKey struct {
	token  ID
	target [32]byte
}

// grant contains when the request was sent upstream, and the latest such time that was
// published to the other replicas.
type grant struct{ requestedAt, published time.Time }

// NewGrants returns the grants of this process, none yet. Each is valid for ttl after
// its request was sent upstream. They are safe for concurrent use.
func NewGrants(ttl time.Duration) *Grants {
	g := &Grants{ttl: ttl}
	for i := range g.shards {
		g.shards[i].tokens = recent.New[[32]byte, tokenState](tokensPerShard)
		g.shards[i].given = recent.New[grantKey, grant](grantsPerShard)
	}
	return g
}

func (g *Grants) shard(token [32]byte) *grantShard { return &g.shards[token[0]%grantShards] }

// Add records that upstream answered a request sent at requestedAt. If publish is true,
// the caller must publish the grant to the other replicas, under the id and with the
// time of the request by the shared clock.
func (g *Grants) Add(token [32]byte, target [32]byte, requestedAt time.Time) (id ID, shared time.Time, publish bool) {
	s := g.shard(token)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.age(requestedAt, max(g.ttl, agePeriod))
	state, ok := s.tokens.Get(token)
	if !ok {
		state = tokenState{id: NewID()}
		s.tokens.Put(token, state)
	}
	if requestedAt.Before(state.since) || requestedAt.Before(state.floor) {
		return ID{}, time.Time{}, false
	}
	key := grantKey{state.id, target}
	known, ok := s.given.Get(key)
	if ok && !requestedAt.After(known.requestedAt) {
		return ID{}, time.Time{}, false
	}
	publish = !state.clockReadAt.IsZero() && requestedAt.Sub(known.published) >= g.ttl/publishShare
	known.requestedAt = requestedAt
	if publish {
		known.published = requestedAt
	}
	s.given.Put(key, known)
	return state.id, state.sharedClock.Add(requestedAt.Sub(state.clockReadAt)), publish
}

// Learn merges the token info that the shared store returned for the token and target.
func (g *Grants) Learn(token [32]byte, target [32]byte, w *TokenInfo) {
	s := g.shard(token)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.age(w.Ended, max(g.ttl, agePeriod))
	state, ok := s.tokens.Get(token)
	switch {
	case ok && state.id == w.ID:
	case ok && w.Began.Before(state.since):
		return
	default:
		state.id, state.since = w.ID, w.Ended
	}
	state.sharedClock, state.clockReadAt = w.Clock, w.Ended
	s.tokens.Put(token, state)
	key := grantKey{w.ID, target}
	if known, ok := s.given.Get(key); !w.RequestedAt.IsZero() && (!ok || w.RequestedAt.After(known.requestedAt)) {
		s.given.Put(key, grant{requestedAt: w.RequestedAt, published: w.RequestedAt})
	}
}

// Alive reports whether the token holds a grant at now, whether it has held one, and
// the id of the token.
func (g *Grants) Alive(token [32]byte, target [32]byte, now time.Time) (alive, held bool, id ID) {
	s := g.shard(token)
	s.mu.Lock()
	defer s.mu.Unlock()
	state, ok := s.tokens.Get(token)
	if !ok {
		return false, false, ID{}
	}
	known, ok := s.given.Get(grantKey{state.id, target})
	return ok && now.Sub(known.requestedAt) < g.ttl && !known.requestedAt.Before(state.floor), ok, state.id
}

// Refused returns when upstream last refused the token, as far as this process knows;
// zero: never.
func (g *Grants) Refused(token [32]byte) time.Time {
	s := g.shard(token)
	s.mu.Lock()
	defer s.mu.Unlock()
	state, _ := s.tokens.Get(token)
	return state.floor
}

// Revoke revokes the token's grants by giving it the new id. Answers to requests sent
// before now do not count any more.
func (g *Grants) Revoke(token [32]byte, id ID, now time.Time) {
	s := g.shard(token)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens.Put(token, tokenState{id: id, since: now, floor: now})
}
