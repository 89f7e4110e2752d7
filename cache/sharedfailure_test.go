package cache_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"osgate/cache"
	"osgate/internal/redisconn/redistest"
)

func TestBodiesThatFindNoRoomAreDropped(t *testing.T) {
	idle := func() *cache.SharedBodies {
		return idleBodies(t, dialURL(t, redistest.Start(t).URL(), time.Minute), sharedSecret)
	}
	c := newCache(t, func(o *cache.Options) { o.Bytes, o.EntryBytes = 64<<20, 1<<20 })
	entry := func(size int) *cache.Entry {
		q := ask(t, "GET", fmt.Sprintf("%s%d", keyPath, size))
		fetch(t, c, q, 200, nil, strings.Repeat("x", size))
		return c.Look(t.Context(), q, time.Now()).Entry
	}
	for name, test := range map[string]struct {
		size, room int
	}{"of small ones": {1, 1024}, "of large ones": {1 << 20, 16}} {
		e, b := entry(test.size), idle()
		for range test.room + 5 {
			b.Keep([32]byte{}, e)
		}
		if dropped := b.Stats().Dropped; dropped != 5 {
			t.Errorf("%s: %d were dropped, want 5", name, dropped)
		}
		ctx, stop := context.WithCancel(t.Context())
		stop()
		if err := b.Run(ctx); err != nil { // writes the queued entries
			t.Fatal(err)
		}
		if n := b.Stats(); n.Kept != int64(test.room) {
			t.Errorf("%s: %+v, want %d kept in the end", name, n, test.room)
		}
		b.Keep([32]byte{}, e)
		if dropped := b.Stats().Dropped; dropped != 5 {
			t.Errorf("%s: no room was given back", name)
		}
	}
}

func TestABodyThatRedisRefusesIsDropped(t *testing.T) {
	s := redistest.Start(t, "--min-replicas-to-write", "1") // reads are answered
	conn := dialURL(t, s.URL(), time.Minute)
	defer conn.Close()
	c, q, b := newCache(t), ask(t, "GET", keyPath), idleBodies(t, conn, sharedSecret)
	fetch(t, c, q, 200, nil, "v")
	b.Keep([32]byte{}, c.Look(t.Context(), q, time.Now()).Entry)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := b.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if got, want := b.Stats(), (cache.SharedStats{Dropped: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestRedisThatForgetsOrIsGoneIsAMiss(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	const settle = 100 * time.Millisecond
	start := func() *replica {
		return startReplica(t, s, sharedSecret, settle, func(o *cache.Options) { o.WriteLease = settle })
	}
	a := start()
	q := ask(t, "GET", keyPath)
	a.share(t, s, q, nil, "v")
	for name, forget := range map[string]func(){"flush": s.Flush, "restart": s.Restart} {
		forget()
		b := start()
		await(t, "the cache is open again", func() bool {
			status, _ := look(t, b.Cache, q)
			return status == "osgate; fwd=miss"
		})
		kept := a.Stats().Shared.Kept
		await(t, "Redis serves again after "+name, func() bool {
			r := a.Look(t.Context(), q, time.Now())
			if r.Fill != nil {
				receive(a.Cache, q, r, answer{200, nil, "v"}, time.Now())
			}
			return a.Stats().Shared.Kept > kept && len(keysLike(t, s, "*:grant:*")) > 0
		})
		wantHit(t, b.Cache, q)
	}
	s.Stop()
	began := time.Now()
	if r := start().Look(t.Context(), q, time.Now()); r.Entry != nil || r.Fill != nil {
		t.Errorf("without Redis: got %s", r.Status)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("without Redis it took %v", took)
	}
	a.Revoke(t.Context(), q.Token)
}

func TestUnreachableSharedBodiesLeaveTheCacheUnchanged(t *testing.T) {
	s, away := redistest.Start(t), redistest.Start(t)
	a := newReplica(t, s)
	q := ask(t, "GET", keyPath)
	a.share(t, s, q, nil, "v")
	bodies := bodiesOn(t, dialURL(t, away.URL(), time.Minute), sharedSecret)
	away.Stop()
	b := newReplica(t, s, func(o *cache.Options) { o.Shared = bodies })
	wantMiss(t, b.Cache, q)
	fetch(t, b.Cache, q, 200, nil, "v")
	wantHit(t, b.Cache, q)
	await(t, "what could not be shared is counted", func() bool { return b.Stats().Shared.Dropped == 1 })
	if n := b.Stats(); n.Shared.Kept != 0 || n.SharedMisses == 0 {
		t.Errorf("got %+v", n)
	}
}
