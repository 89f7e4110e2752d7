package cache_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"osgate/cache"
	"osgate/cache/coherence"
	"osgate/internal/redisconn/redistest"
)

// wantServed looks up a key whose entry is in Redis, so that only the grant decides.
func wantServed(t testing.TB, want bool, what string, q cache.Question, replicas ...*replica) {
	t.Helper()
	for n, r := range replicas {
		if found := r.Look(t.Context(), q, time.Now()); (found.Entry != nil) != want {
			t.Errorf("%s, replica %d: got %s, want a hit is %t", what, n, found.Status, want)
		}
	}
}

func TestRightThatOneReplicaSeesWithdrawnEndsOnAll(t *testing.T) {
	s := redistest.Start(t)
	a, b, c := newReplica(t, s), newReplica(t, s), newReplica(t, s)
	q := ask(t, "GET", keyPath)
	a.share(t, s, q, nil, "v")
	wantServed(t, true, "before", q, a, b, c)
	b.Grant(q, time.Now()) // its own, in addition to the one from the other replica
	b.Revoke(t.Context(), q.Token)
	wantServed(t, false, "after", q, a, b, c, newReplica(t, s))
	c.Grant(q, time.Now()) // upstream allows the token again
	await(t, "the new grant is shared", func() bool { return a.Look(t.Context(), q, time.Now()).Entry != nil })
	wantServed(t, true, "again", q, a, b, c, newReplica(t, s))
}

func TestAnswerToWhatWasAskedBeforeTheRefusalGrantsNothingAnywhere(t *testing.T) {
	s := redistest.Start(t)
	a, b := newReplica(t, s), newReplica(t, s)
	q := ask(t, "GET", keyPath)
	a.share(t, s, q, nil, "v")
	b.Look(t.Context(), q, time.Now())
	sent := time.Now() // sent by b, and under way
	a.Revoke(t.Context(), q.Token)
	b.Grant(q, sent)
	a.Grant(q, sent)
	other := ask(t, "GET", keysPath)
	b.fetch(t, other, nil, "list") // Redis receives it after the earlier updates
	await(t, "it is told", func() bool { return a.Look(t.Context(), other, time.Now()).Entry != nil })
	wantServed(t, false, "after", q, a, b, newReplica(t, s))
}

func TestRefusalWithoutRedisIsMadeUpFor(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	lasting := func(o *cache.Options) { o.KeyTTL, o.GrantTTL = time.Hour, time.Hour } // so that only the refusal ends them
	a, b := replicaOn(t, s, dialURL(t, s.URL(), 5*time.Second), sharedSecret, time.Minute, lasting), newReplica(t, s, lasting)
	q := ask(t, "GET", keyPath)
	a.share(t, s, q, nil, "v")
	wantServed(t, true, "before", q, a, b)
	s.Pause()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // the client has disconnected
	a.Revoke(ctx, q.Token)
	s.Resume()
	wantServed(t, false, "without a word with Redis", q, a)
	await(t, "the others know", func() bool { return b.Look(t.Context(), q, time.Now()).Entry == nil })
	wantServed(t, false, "after", q, a, b, newReplica(t, s))
	if n := a.coherence.Unpublished(); n != 0 {
		t.Errorf("%d refusals were given up", n)
	}
}

func TestSharedGrantEndsWithItsLife(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	const life = 4 * time.Second
	brief := func(o *cache.Options) { o.GrantTTL = life }
	a := newReplica(t, s, brief)
	q := ask(t, "GET", keyPath)
	a.Look(t.Context(), q, time.Now())
	sent := time.Now()
	a.share(t, s, q, nil, "v")
	s.Do("PERSIST", keysLike(t, s, "*:grant:*")[0])
	b := newReplica(t, s, brief)
	for served := true; served; <-time.After(5 * time.Millisecond) {
		now := time.Now()
		served = b.Look(t.Context(), q, now).Entry != nil
		if age := now.Sub(sent); served && age > 2*life {
			t.Fatalf("a grant of %v is alive after %v", life, age)
		}
	}
	if age := time.Since(sent); age < life/2 {
		t.Errorf("a grant of %v was alive for %v only", life, age)
	}
	wantServed(t, false, "after", q, newReplica(t, s, brief))
}

func TestGrantsTravelWithTheGenerations(t *testing.T) {
	c := newCarrier(t)
	coherence, err := coherence.NewRedis(c.conn, coherence.RedisOptions{Settle: time.Minute}) // its Run does not run, so it sends no commands by itself
	if err != nil {
		t.Fatal(err)
	}
	grants := grantsOf(t, coherence, sharedSecret)
	bodies := bodiesOn(t, dialURL(t, c.server.URL(), time.Minute), sharedSecret) // over another connection
	c.cache = newCache(t, func(o *cache.Options) { o.Coherence, o.SharedGrants, o.Shared = coherence, grants, bodies })
	q := ask(t, "GET", keyPath)
	a := newReplica(t, c.server)
	a.share(t, c.server, q, nil, "v")
	c.cache.Look(t.Context(), ask(t, "GET", storesPath), time.Now()) // loads the scripts
	s := c.cache.Prepare(q)
	trips := c.trips(func() {
		_ = c.pay(s.WithRead(t.Context()))
		if r := s.Look(t.Context(), time.Now()); r.Entry == nil {
			t.Errorf("got %s, want a hit", r.Status)
		}
	})
	if trips != 1 {
		t.Errorf("%d round trips, want one", trips)
	}
}

func TestReadersOfReplicasThatShareSeeEveryWriteThatWasAnswered(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	h := &history{T: t, ended: make(chan struct{})}
	var caches []*cache.Cache
	for range 2 {
		// almost no entry stays in process, so that hits come from Redis
		r := startReplica(t, s, sharedSecret, historyLease, func(o *cache.Options) { o.WriteLease, o.Bytes, o.EntryBytes = historyLease, 100, 100 })
		caches = append(caches, r.Cache)
	}
	h.run(s.Flush, func() bool { return caches[0].Stats().SharedHits >= 20 }, caches...)
}

func TestManyRefusalsAtOnceLeaveNothingBehind(t *testing.T) {
	s := redistest.Start(t)
	a, b := newReplica(t, s), newReplica(t, s)
	var group sync.WaitGroup
	for n := range 8 {
		group.Go(func() {
			q := ask(t, "GET", keyPath)
			q.Token = [32]byte{byte(n % 2)}
			for range 20 {
				for _, r := range []*replica{a, b} {
					if found := r.Look(t.Context(), q, time.Now()); found.Fill != nil {
						receive(r.Cache, q, found, answer{200, nil, "v"}, time.Now())
					}
				}
				a.Revoke(t.Context(), q.Token)
			}
		})
	}
	group.Wait()
	for n := range 2 {
		q := ask(t, "GET", keyPath)
		q.Token = [32]byte{byte(n)}
		b.Revoke(t.Context(), q.Token)
		wantServed(t, false, "in the end", q, a, b, newReplica(t, s))
	}
}
