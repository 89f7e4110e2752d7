package ratelimit

import (
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

func TestTableIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 500).Draw(t, "max keys")
		tab := newTable[arrival](limit)
		for i := range rapid.IntRange(0, 2000).Draw(t, "keys") {
			key := strconv.Itoa(i)
			s := tab.shard(key)
			s.put(key, arrival(1_000_000+i), int64(i)) // these never expire
			if s.entries[key] != arrival(1_000_000+i) {
				t.Fatalf("key %s is not there after put", key)
			}
		}
		if n := tab.len(); n > limit {
			t.Fatalf("%d keys, want at most %d", n, limit)
		}
	})
}

func TestTableShrinksWhenKeysExpire(t *testing.T) {
	tab := newTable[arrival](10_000)
	put := func(from, to int, now int64) {
		for i := from; i < to; i++ {
			key := strconv.Itoa(i)
			tab.shard(key).put(key, arrival(now+1), now)
		}
	}
	put(0, 8_000, 0)
	put(8_000, 12_000, 10) // all but these have expired
	if n := tab.len(); n > 4_000+8_000/2 {
		t.Errorf("%d keys, though 8,000 of 12,000 had expired", n)
	}
}

func TestTableMakesRoomByForgettingWhatExpiresFirst(t *testing.T) {
	tab := newTable[arrival](1)
	s := tab.shard("")
	s.max = evictionSample
	for i := range evictionSample {
		s.put(strconv.Itoa(i), arrival(100+i), 0)
	}
	s.put("new", 50, 0)
	if _, ok := s.entries["0"]; ok || len(s.entries) != evictionSample {
		t.Errorf("%v, want the first to expire, 0, to have made room", s.entries)
	}
}

func TestRoomIsMadeByALookAtAFewEntries(t *testing.T) {
	s := newTable[arrival](1).shard("")
	s.max = 1000
	for i := range 100 {
		s.entries[strconv.Itoa(i)] = arrival(7)
	}
	s.put("new", 50, 7) // at this instant all others expire
	if got, want := len(s.entries), 100-evictionSample+1; got != want {
		t.Errorf("%d entries are left, want %d: as many are forgotten as are looked at", got, want)
	}
}

// len returns the number of keys of a table that no goroutine uses at the time.
func (t *table[V]) len() int {
	n := 0
	for i := range t.shards {
		n += len(t.shards[i].entries)
	}
	return n
}
