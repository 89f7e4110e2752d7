package cache

import (
	"sync"
	"time"
)

// The bounds of what is remembered of tokens. What is forgotten is asked again.
const (
	grantShards    = 64
	tokensPerShard = 256  // per shard, twice that at most
	grantsPerShard = 1024 // grants per shard, twice that at most
)

// publishShare is how much of its life a grant gains, as a part of the whole, before the other replicas are told of it again.
const publishShare = 4

// grants remembers which token upstream itself has answered for which kind of read, and when. Grants are kept under a random id of the
// token, so that to take a token's grants away is to give it a new id; an id that is forgotten takes them away too.
//
// Where replicas share grants ([SharedGrants]) that id is the one in the shared place, and five rules keep what is true there true here.
//
//  1. Every read brings the token's id along with the generations. A grant counts only if it was given under that id, so that a right which
//     another replica has seen withdrawn ends with the first read that begins after that.
//  2. An answer counts as a grant only if its request was sent after the present id was known here: one sent before may be older than
//     the withdrawal. The shared place takes a grant only while the id under which it was given is still the token's.
//  3. A word that was asked for before the present id was known, and brings another id, is older than what is known, and is not believed.
//  4. A grant lives from the sending of its request. On its way into the shared place and out of it that instant is rounded to the past:
//     an instant of the shared clock is that clock's when it was last read plus the time since it was heard here, and an instant of ours
//     is when the question began less the age by the shared clock.
//  5. After a refusal nothing that was asked before it counts here, whatever the shared place says: it may not have been told yet.
type grants struct {
	ttl    time.Duration
	shards [grantShards]grantShard
}

type grantShard struct {
	mu     sync.Mutex // guards what follows
	tokens recent[[32]byte, tokenState]
	given  recent[grantKey, grant]
}

// tokenState is what is known of a token. Answers to requests sent before since or floor do not count.
type tokenState struct {
	id    ID
	since time.Time // when the id was known
	floor time.Time // when upstream refused the token, as far as this process has seen

	sharedClock, clockReadAt time.Time // the clock of the shared place as it was read last, and when that was heard here; zero: never
}

type grantKey struct {
	token  ID
	target digest
}

// grant is when upstream was asked, and of which asking the other replicas have been told.
type grant struct{ requestedAt, published time.Time }

func newGrants(ttl time.Duration) *grants {
	g := &grants{ttl: ttl}
	for i := range g.shards {
		g.shards[i].tokens = newRecent[[32]byte, tokenState](tokensPerShard)
		g.shards[i].given = newRecent[grantKey, grant](grantsPerShard)
	}
	return g
}

func (g *grants) shard(token [32]byte) *grantShard { return &g.shards[token[0]%grantShards] }

// add remembers that upstream answered a request sent at asked. Tell says that the other replicas should know: under which id, and when that was
// by the shared clock.
func (g *grants) add(token [32]byte, target digest, requestedAt time.Time) (id ID, shared time.Time, publish bool) {
	s := g.shard(token)
	s.mu.Lock()
	defer s.mu.Unlock()
	state, ok := s.tokens.get(token)
	if !ok {
		state = tokenState{id: newID()}
		s.tokens.put(token, state)
	}
	if requestedAt.Before(state.since) || requestedAt.Before(state.floor) {
		return ID{}, time.Time{}, false
	}
	key := grantKey{state.id, target}
	known, ok := s.given.get(key)
	if ok && !requestedAt.After(known.requestedAt) {
		return ID{}, time.Time{}, false
	}
	publish = !state.clockReadAt.IsZero() && requestedAt.Sub(known.published) >= g.ttl/publishShare
	known.requestedAt = requestedAt
	if publish {
		known.published = requestedAt
	}
	s.given.put(key, known)
	return state.id, state.sharedClock.Add(requestedAt.Sub(state.clockReadAt)), publish
}

// learn takes what the shared place says of the token at a place.
func (g *grants) learn(token [32]byte, target digest, w *TokenInfo) {
	s := g.shard(token)
	s.mu.Lock()
	defer s.mu.Unlock()
	state, ok := s.tokens.get(token)
	switch {
	case ok && state.id == w.ID:
	case ok && w.Began.Before(state.since):
		return
	default:
		state.id, state.since = w.ID, w.Ended
	}
	state.sharedClock, state.clockReadAt = w.Clock, w.Ended
	s.tokens.put(token, state)
	key := grantKey{w.ID, target}
	if known, ok := s.given.get(key); !w.RequestedAt.IsZero() && (!ok || w.RequestedAt.After(known.requestedAt)) {
		s.given.put(key, grant{requestedAt: w.RequestedAt, published: w.RequestedAt})
	}
}

// alive reports whether the token holds a grant at now, and whether it has held one, and the id under which that is.
func (g *grants) alive(token [32]byte, target digest, now time.Time) (alive, held bool, id ID) {
	s := g.shard(token)
	s.mu.Lock()
	defer s.mu.Unlock()
	state, ok := s.tokens.get(token)
	if !ok {
		return false, false, ID{}
	}
	known, ok := s.given.get(grantKey{state.id, target})
	return ok && now.Sub(known.requestedAt) < g.ttl && !known.requestedAt.Before(state.floor), ok, state.id
}

// refused returns when upstream refused the token last, as far as is known here; zero: never.
func (g *grants) refused(token [32]byte) time.Time {
	s := g.shard(token)
	s.mu.Lock()
	defer s.mu.Unlock()
	state, _ := s.tokens.get(token)
	return state.floor
}

// revoke takes the token's grants away by giving it the id; answers to what was asked before now count no more.
func (g *grants) revoke(token [32]byte, id ID, now time.Time) {
	s := g.shard(token)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens.put(token, tokenState{id: id, since: now, floor: now})
}
