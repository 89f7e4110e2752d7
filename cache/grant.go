package cache

import (
	"sync"
	"time"
)

// The bounds of what is remembered of tokens. What is forgotten is asked again.
const (
	grantShards = 64
	grantTokens = 256  // per shard, twice that at most
	grantPlaces = 1024 // grants per shard, twice that at most
)

// grants remembers which token upstream itself has answered for which kind of read, and when. Grants are kept under a random id of the
// token, so that to take a token's grants away is to give it a new id; an id that is forgotten takes them away too.
type grants struct {
	ttl    time.Duration
	shards [grantShards]grantShard
}

type grantShard struct {
	mu     sync.Mutex // guards what follows
	tokens recent[[32]byte, tokenState]
	asked  recent[grantKey, time.Time] // when upstream was asked
}

// tokenState is a token's present id, and since when: answers to requests sent before do not count.
type tokenState struct {
	id    ID
	since time.Time
}

type grantKey struct {
	token ID
	place digest
}

func newGrants(ttl time.Duration) *grants {
	g := &grants{ttl: ttl}
	for i := range g.shards {
		g.shards[i].tokens = newRecent[[32]byte, tokenState](grantTokens)
		g.shards[i].asked = newRecent[grantKey, time.Time](grantPlaces)
	}
	return g
}

func (g *grants) shard(token [32]byte) *grantShard { return &g.shards[token[0]%grantShards] }

// add remembers that upstream answered a request sent at asked.
func (g *grants) add(token [32]byte, place digest, asked time.Time) {
	s := g.shard(token)
	s.mu.Lock()
	defer s.mu.Unlock()
	state, ok := s.tokens.get(token)
	if !ok {
		state = tokenState{id: newID()}
		s.tokens.put(token, state)
	}
	if asked.Before(state.since) {
		return
	}
	key := grantKey{state.id, place}
	if known, ok := s.asked.get(key); !ok || asked.After(known) {
		s.asked.put(key, asked)
	}
}

// alive reports whether the token holds a grant at now, and whether it has held one.
func (g *grants) alive(token [32]byte, place digest, now time.Time) (alive, held bool) {
	s := g.shard(token)
	s.mu.Lock()
	defer s.mu.Unlock()
	state, ok := s.tokens.get(token)
	if !ok {
		return false, false
	}
	asked, ok := s.asked.get(grantKey{state.id, place})
	return ok && now.Sub(asked) < g.ttl, ok
}

// revoke takes the token's grants away; answers to what was asked before now count no more.
func (g *grants) revoke(token [32]byte, now time.Time) {
	s := g.shard(token)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens.put(token, tokenState{id: newID(), since: now})
}
