package ratelimit

import (
	"hash/maphash"
	"sync"
)

const (
	// defaultMaxKeys bounds a table: about 8 MB of keys and instants.
	defaultMaxKeys = 1 << 16
	// tableShards is the number of locks of a table, so that different keys seldom
	// compete for one.
	tableShards = 64
	// evictionSample is the number of entries examined to make room for a new one.
	evictionSample = 8
)

// table is a bounded map from keys to values. Each value has an instant after which it
// may be forgotten without any effect.
type table[V expiring] struct {
	seed   maphash.Seed
	shards []shard[V]
}

// expiring is a value with the instant, in nanoseconds, after which it may be
// forgotten.
type expiring interface{ expiry() int64 }

// shard is a part of a table. Its users lock mu around all use.
type shard[V expiring] struct {
	mu      sync.Mutex // guards entries
	entries map[string]V
	max     int
}

// newTable returns a table for at most maxKeys keys, or a default if that is not
// positive.
func newTable[V expiring](maxKeys int) *table[V] {
	if maxKeys <= 0 {
		maxKeys = defaultMaxKeys
	}
	t := &table[V]{seed: maphash.MakeSeed(), shards: make([]shard[V], min(tableShards, maxKeys))}
	for i := range t.shards {
		t.shards[i] = shard[V]{entries: make(map[string]V), max: maxKeys / len(t.shards)}
	}
	return t
}

// shard returns the part of the table that key belongs to.
func (t *table[V]) shard(key string) *shard[V] {
	return &t.shards[maphash.String(t.seed, key)%uint64(len(t.shards))]
}

// put stores v. For a new key it first examines a few other keys and removes those that
// have expired, or, if that makes no room, the one that expires first. mu is held.
func (s *shard[V]) put(key string, v V, now int64) {
	if _, ok := s.entries[key]; !ok {
		s.makeRoom(now)
	}
	s.entries[key] = v
}

func (s *shard[V]) makeRoom(now int64) {
	seen, first, firstExpiry := 0, "", int64(0)
	for key, v := range s.entries { // begins at a random entry
		expiry := v.expiry()
		if expiry <= now {
			delete(s.entries, key)
		} else if first == "" || expiry < firstExpiry {
			first, firstExpiry = key, expiry
		}
		if seen++; seen == evictionSample {
			break
		}
	}
	if len(s.entries) >= s.max {
		delete(s.entries, first)
	}
}
