package coherence

import (
	"crypto/sha256"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// tokenInfoAt is an answer of a shared store whose clock is an hour ahead: the read
// takes a second, and the store answers in the middle of it.
func tokenInfoAt(id ID, began time.Time, age time.Duration) *TokenInfo {
	w := &TokenInfo{ID: id, Began: began, Ended: began.Add(time.Second), Clock: began.Add(time.Hour + time.Second/2)}
	if age >= 0 {
		w.RequestedAt = began.Add(-age)
	}
	return w
}

func TestRulesOfSharedGrants(t *testing.T) {
	const ttl = time.Minute
	x, y := ID{1}, ID{2}
	token, place := [32]byte{7}, [32]byte{8}
	start := time.Unix(1000, 0)
	at := func(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }
	for name, test := range map[string]struct {
		do        func(g *Grants)
		now       time.Time
		wantAlive bool
		wantID    ID
	}{
		"a grant that was brought lives for the rest of its life": {
			do: func(g *Grants) { g.Learn(token, place, tokenInfoAt(x, start, 20*time.Second)) }, now: at(39), wantAlive: true, wantID: x,
		},
		"and no longer": {
			do: func(g *Grants) { g.Learn(token, place, tokenInfoAt(x, start, 20*time.Second)) }, now: at(40), wantID: x,
		},
		"1: another id ends what was granted under the one before": {
			do: func(g *Grants) {
				g.Learn(token, place, tokenInfoAt(x, start, 0))
				g.Learn(token, place, tokenInfoAt(y, at(2), -1))
			}, now: at(3), wantID: y,
		},
		"2: an answer counts if it was asked for when the id was known": {
			do: func(g *Grants) {
				g.Learn(token, place, tokenInfoAt(x, start, -1))
				g.Add(token, place, at(1))
			}, now: at(3), wantAlive: true, wantID: x,
		},
		"2: and not before": {
			do: func(g *Grants) {
				g.Learn(token, place, tokenInfoAt(x, start, -1))
				g.Add(token, place, at(0.9))
			}, now: at(3), wantID: x,
		},
		"3: a word that comes late is not believed": {
			do: func(g *Grants) {
				g.Learn(token, place, tokenInfoAt(y, start, -1))
				g.Learn(token, place, tokenInfoAt(x, at(0.5), 0))
			}, now: at(3), wantID: y,
		},
		"5: what was granted before a refusal is not brought back": {
			do: func(g *Grants) {
				g.Revoke(token, x, at(5))
				g.Learn(token, place, tokenInfoAt(y, at(6), 2*time.Second))
			}, now: at(8), wantID: y,
		},
		"5: but what was granted after it": {
			do: func(g *Grants) {
				g.Revoke(token, x, at(5))
				g.Learn(token, place, tokenInfoAt(y, at(8), 2*time.Second))
			}, now: at(9), wantAlive: true, wantID: y,
		},
		"5: and an answer to what was asked before it counts neither": {
			do: func(g *Grants) {
				g.Learn(token, place, tokenInfoAt(x, start, -1))
				g.Revoke(token, x, at(5))
				g.Add(token, place, at(4))
			}, now: at(6), wantID: x,
		},
		"an older grant replaces no younger one": {
			do: func(g *Grants) {
				g.Learn(token, place, tokenInfoAt(x, start, -1))
				g.Add(token, place, at(50))
				g.Learn(token, place, tokenInfoAt(x, at(51), 45*time.Second))
				g.Add(token, place, at(40))
			}, now: at(109), wantAlive: true, wantID: x,
		},
	} {
		g := NewGrants(ttl)
		test.do(g)
		if alive, _, id := g.Alive(token, place, test.now); alive != test.wantAlive || id != test.wantID {
			t.Errorf("%s: alive is %t under %v, want %t under %v", name, alive, id, test.wantAlive, test.wantID)
		}
	}
}

func TestGrantIsPublishedAtIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ttl = time.Minute
		g := NewGrants(ttl)
		token, place := [32]byte{7}, [32]byte{8}
		if _, _, tell := g.Add(token, place, time.Now()); tell {
			t.Error("published under an id that no other replica knows")
		}
		w := tokenInfoAt(ID{1}, time.Now(), -1)
		g.Learn(token, place, w)
		told := 0
		for range 60 {
			<-time.After(time.Second)
			sent := time.Now()
			id, shared, tell := g.Add(token, place, sent)
			if !tell {
				continue
			}
			told++
			// The shared clock was an hour ahead, and half a second older than when it
			// was read: rule 4.
			if want := sent.Add(time.Hour - time.Second/2); id != w.ID || !shared.Equal(want) {
				t.Errorf("published %v under %v, want %v, which is no later than the sending", shared, id, want)
			}
		}
		if told != publishShare {
			t.Errorf("published %d times in a life, want %d", told, publishShare)
		}
	})
}

func TestRevocationsAreBounded(t *testing.T) {
	r := revocations{tokens: map[[32]byte]tokenUpdate{}}
	for n := range revokeQueue + 1 {
		kept := r.add(tokenUpdate{key: GrantKey{Token: [32]byte{byte(n), byte(n >> 8)}}, id: ID{1}})
		if kept != (n < revokeQueue) {
			t.Fatalf("add %d: kept is %t", n, kept)
		}
	}
	if n := r.count.Load(); n != revokeQueue {
		t.Errorf("%d wait, want %d", n, revokeQueue)
	}
	batch := r.some(10)
	again := batch[0]
	again.id = ID{2}
	r.add(again)
	r.done(batch)
	if n := r.count.Load(); len(batch) != 10 || n != revokeQueue-9 {
		t.Errorf("%d wait after %d were written, want all except those that were not refused again", n, len(batch))
	}
}

// A gateway that runs for days keeps no grants of tokens that have ended, and all of those
// in use.
func TestGrantsOfTokensThatEndedTakeNoMemory(t *testing.T) {
	g, start, used := NewGrants(time.Minute), time.Unix(1000, 0), [32]byte{}
	target := [32]byte{1}
	for i := range 2000 {
		at := start.Add(time.Duration(i) * agePeriod / 100)
		g.Add([32]byte{0, byte(i >> 8), byte(i), 1}, target, at) // all in one shard
		g.Add(used, target, at)
		if alive, _, _ := g.Alive(used, target, at); !alive {
			t.Fatalf("the grant in use has ended after %d others", i)
		}
	}
	if s := g.shard(used); s.tokens.Len() > 300 || s.given.Len() > 300 {
		t.Errorf("%d tokens with %d grants are kept, want those of two periods of 100", s.tokens.Len(), s.given.Len())
	}
}

// Grants of a hundred thousand clients are kept.
func TestAHundredThousandClientsKeepTheirGrants(t *testing.T) {
	g, now, target := NewGrants(time.Minute), time.Unix(1000, 0), [32]byte{1}
	token := func(i int) [32]byte {
		return sha256.Sum256([]byte(strconv.Itoa(i)))
	}
	for i := range 100_000 {
		g.Add(token(i), target, now)
	}
	for i := range 100_000 {
		if alive, _, _ := g.Alive(token(i), target, now); !alive {
			t.Fatalf("the grant of client %d has ended", i)
		}
	}
}
