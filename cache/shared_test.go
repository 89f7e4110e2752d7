package cache_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"osgate/cache"
	"osgate/internal/redisconn/redistest"
)

func TestReplicaStartsWarm(t *testing.T) {
	s := redistest.Start(t)
	a := newReplica(t, s)
	q := ask(t, "GET", keyPath)
	a.share(t, s, q, http.Header{"Content-Type": {"text/plain"}, "X-Two": {"1", "2"}, "Age": {"3"}, "Set-Cookie": {"c"}}, "value")
	b := newReplica(t, s)
	for name, wantShared := range map[string]int64{"from Redis": 1, "and then from its own store": 1} {
		r := b.Look(t.Context(), q, time.Now())
		if r.Entry == nil || r.Fill != nil || !r.Status.Hit || r.Status.Detail != "" {
			t.Fatalf("%s: got %s, want a hit", name, r.Status)
		}
		w := httptest.NewRecorder()
		if _, err := r.Entry.Serve(w, q.Header, time.Now()); err != nil {
			t.Fatal(err)
		}
		h := w.Header()
		if w.Body.String() != "value" || !slices.Equal(h["X-Two"], []string{"1", "2"}) || h.Get("Content-Type") != "text/plain" ||
			h.Get("Etag") == "" || h.Get("Set-Cookie") != "" || h.Get("Age") < "3" {
			t.Errorf("%s: got %q with %v", name, w.Body, h)
		}
		if n := b.Stats(); n.SharedHits != wantShared || n.Fills != 0 {
			t.Errorf("%s: %d shared hits and %d fills, want %d and none", name, n.SharedHits, n.Fills, wantShared)
		}
	}
}

func TestEveryKindOfAnswerIsShared(t *testing.T) {
	s := redistest.Start(t)
	a, b := newReplica(t, s), newReplica(t, s)
	for n, read := range reads {
		method, path := split(read)
		q := ask(t, method, path)
		q.Token = [32]byte{byte(n), 1}
		if method == http.MethodHead {
			a.share(t, s, q, http.Header{"Content-Length": {"5"}}, "")
		} else {
			a.share(t, s, q, nil, read)
		}
		r := b.Look(t.Context(), q, time.Now())
		if r.Entry == nil {
			t.Errorf("%s: got %s, want a hit", read, r.Status)
			continue
		}
		w := httptest.NewRecorder()
		if _, err := r.Entry.Serve(w, q.Header, time.Now()); err != nil {
			t.Fatal(err)
		}
		if method == http.MethodHead && w.Header().Get("Content-Length") != "5" || method != http.MethodHead && w.Body.String() != read {
			t.Errorf("%s: got %q with %v", read, w.Body, w.Header())
		}
	}
}

func TestAbsenceOfAKeyIsShared(t *testing.T) {
	s := redistest.Start(t)
	a, b := newReplica(t, s), newReplica(t, s)
	q := ask(t, "GET", keyPath)
	a.share(t, s, ask(t, "GET", keyPath+"2"), nil, "for the grant")
	fetch(t, a.Cache, q, 404, nil, "none")
	await(t, "the 404 is shared", func() bool { return a.Stats().Shared.Kept == 2 })
	if r := b.Look(t.Context(), q, time.Now()); r.Entry == nil || r.Entry.Status != 404 || r.Entry.Left(time.Now()) > 2*time.Second {
		t.Errorf("got %s, want a 404 of 2 s at most", r.Status)
	}
}

func TestWriteThroughAnyReplicaEndsWhatIsShared(t *testing.T) {
	s := redistest.Start(t)
	a, b := newReplica(t, s), newReplica(t, s)
	q := ask(t, "GET", keyPath)
	a.share(t, s, q, nil, "old")
	for _, writer := range []*replica{a, b} {
		for _, r := range []*replica{a, b} {
			wantHit(t, r.Cache, q)
		}
		mark(t, writer.Cache, ask(t, "PUT", keyPath)).Done(cache.Applied)
		await(t, "the lease is given back", func() bool { status, _ := look(t, b.Cache, q); return status != writeInFlight })
		for name, r := range map[string]*replica{"its own": a, "the other": b} {
			if status, _ := look(t, r.Cache, q); status != "osgate; fwd=miss" {
				t.Errorf("%s replica, after the write: got %s, want a miss", name, status)
			}
		}
		kept := a.Stats().Shared.Kept
		fetch(t, a.Cache, q, 200, nil, "new")
		await(t, "the new body is shared", func() bool { return a.Stats().Shared.Kept > kept })
	}
	if n := b.Stats(); n.SharedHits != 2 {
		t.Errorf("%d hits were of Redis, want 2: the test proves little", n.SharedHits)
	}
}

func TestPurgeEndsWhatIsShared(t *testing.T) {
	s := redistest.Start(t)
	a, b := newReplica(t, s), newReplica(t, s)
	q := ask(t, "GET", keyPath)
	a.share(t, s, q, nil, "v")
	if _, err := a.Purge(t.Context(), cache.PurgeTarget{All: true}); err != nil {
		t.Fatal(err)
	}
	wantMiss(t, a.Cache, q)
	wantMiss(t, b.Cache, q)
}

func TestRedisTellsNothingOfBodiesAndGrants(t *testing.T) {
	s := redistest.Start(t)
	a := newReplica(t, s)
	q := ask(t, "GET", "environments/SECRETENV/stores/SECRETSTORE/partitions/SECRETPART/keys/SECRETKEY")
	q.Scope, q.Token = "SECRETCLIENT", [32]byte([]byte("SECRETTOKENSECRETTOKENSECRETTOKE"))
	a.share(t, s, q, http.Header{"X-Secret": {"SECRETHEADER"}}, "SECRETBODY")
	c := redis.NewClient(&redis.Options{Addr: s.Addr()})
	defer func() { _ = c.Close() }()
	kinds := map[string]int{}
	for _, key := range keysLike(t, s, "*") {
		kinds[strings.Split(key, ":")[1]]++
		value, _ := c.Get(t.Context(), key).Result() // "" for a hash
		all := key + value + c.Dump(t.Context(), key).Val()
		for _, secret := range []string{"SECRET", "X-Secret", hex.EncodeToString(q.Token[:]), string(sharedSecret)} {
			if strings.Contains(all, secret) {
				t.Errorf("key %q reveals %q", key, secret)
			}
		}
		if kind := strings.Split(key, ":")[1]; kind != "epoch" && c.PTTL(t.Context(), key).Val() <= 0 {
			t.Errorf("key %q is kept for ever", key)
		}
	}
	for _, kind := range []string{"body", "grant", "token"} {
		if kinds[kind] != 1 {
			t.Errorf("got %v, want one %s", kinds, kind)
		}
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%x"} {
		if text := fmt.Sprintf(verb, a.bodies); text != "[redacted]" {
			t.Errorf("%s prints %q", verb, text)
		}
	}
	if text := a.bodies.LogValue().String(); text != "[redacted]" {
		t.Errorf("logs %q", text)
	}
}

func TestForeignSealIsAMiss(t *testing.T) {
	for name, test := range map[string]struct {
		tamper         func(ctx context.Context, c *redis.Client, key, other string) error
		wantUnreadable int64
	}{
		"a changed byte": {func(ctx context.Context, c *redis.Client, key, _ string) error {
			return c.SetRange(ctx, key, 40, "\x00\x01\x02").Err()
		}, 1},
		"a cut one": {func(ctx context.Context, c *redis.Client, key, _ string) error {
			return c.Set(ctx, key, c.GetRange(ctx, key, 0, 50).Val(), time.Hour).Err()
		}, 1},
		"one without a seal": {func(ctx context.Context, c *redis.Client, key, _ string) error {
			return c.Set(ctx, key, "x", time.Hour).Err()
		}, 1},
		"another one's": {func(ctx context.Context, c *redis.Client, key, other string) error {
			return c.Copy(ctx, other, key, 0, true).Err()
		}, 1},
		"one of another type": {func(ctx context.Context, c *redis.Client, key, _ string) error {
			c.Del(ctx, key)
			return c.HSet(ctx, key, "a", "b").Err()
		}, 0},
		"none": {func(ctx context.Context, c *redis.Client, key, _ string) error { return c.Del(ctx, key).Err() }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := redistest.Start(t)
			a := newReplica(t, s)
			q := ask(t, "GET", keyPath)
			a.share(t, s, q, nil, "v")
			key := keysLike(t, s, "*:body:*")[0]
			a.share(t, s, ask(t, "GET", keysPath), nil, "w")
			keys := keysLike(t, s, "*:body:*")
			other := keys[1-slices.Index(keys, key)]
			c := redis.NewClient(&redis.Options{Addr: s.Addr()})
			defer func() { _ = c.Close() }()
			if err := test.tamper(t.Context(), c, key, other); err != nil {
				t.Fatal(err)
			}
			b := newReplica(t, s)
			wantMiss(t, b.Cache, q)
			if n := b.Stats(); n.SharedMisses != 1 || n.SharedHits != 0 || n.Shared.Unreadable != test.wantUnreadable {
				t.Errorf("got %+v, want one miss and %d that cannot be read", n, test.wantUnreadable)
			}
		})
	}
}

func TestOtherSecretReadsNothing(t *testing.T) {
	s := redistest.Start(t)
	a := newReplica(t, s)
	q := ask(t, "GET", keyPath)
	a.share(t, s, q, nil, "v")
	wantMiss(t, startReplica(t, s, otherSecret, time.Minute).Cache, q)
	if _, err := cache.NewSharedBodies(nil, sharedSecret[1:], cache.SharedOptions{}); err == nil {
		t.Error("a short secret was taken")
	}
}

func TestSharedEntryIsNeverYoungerThanItIs(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	fresh := func(ttl time.Duration) func(*cache.Options) { return func(o *cache.Options) { o.KeyTTL = ttl } }
	a := newReplica(t, s, fresh(time.Minute))
	q := ask(t, "GET", keyPath)
	asked := time.Now().Add(-50 * time.Second) // a slow fetch
	receive(a.Cache, q, a.Look(t.Context(), q, asked), answer{200, http.Header{"Age": {"2"}}, "v"}, time.Now())
	await(t, "body and grant are shared", func() bool { return len(keysLike(t, s, "*:body:*"))+len(keysLike(t, s, "*:grant:*")) == 2 })
	if left, err := strconv.Atoi(s.Do("PTTL", keysLike(t, s, "*:body:*")[0])); err != nil || left < 0 || left > 8000 {
		t.Errorf("Redis keeps it for %d ms, want 8000 at most", left)
	}
	s.Do("PERSIST", keysLike(t, s, "*:body:*")[0])

	r := newReplica(t, s, fresh(time.Minute)).Look(t.Context(), q, time.Now())
	if r.Entry == nil {
		t.Fatalf("got %s, want a hit", r.Status)
	}
	now := time.Now()
	if age, is := r.Entry.Age(now), now.Sub(asked)+2*time.Second; age < is || age > is+time.Second {
		t.Errorf("it is %v old, want %v", age, is)
	}
	wantMiss(t, newReplica(t, s, fresh(52*time.Second)).Cache, q) // configured for less
	now = time.Now()
	<-time.After(asked.Add(58 * time.Second).Sub(now)) // its freshness has ended; only Redis's expiry of the key was stopped
	wantMiss(t, newReplica(t, s, fresh(time.Minute)).Cache, q)
}

func TestSharedEntryEndsWithItsFreshness(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	brief := func(o *cache.Options) { o.KeyTTL = 3 * time.Second }
	a := newReplica(t, s, brief)
	q := ask(t, "GET", keyPath)
	a.share(t, s, q, nil, "v")
	await(t, "Redis drops it", func() bool { return len(keysLike(t, s, "*:body:*")) == 0 })
	b := newReplica(t, s, brief)
	wantMiss(t, b.Cache, q)
	if n := b.Stats(); n.SharedMisses != 1 {
		t.Errorf("got %+v, want a lookup without a result", n)
	}
}

func TestOnlyWhatIsStoredIsShared(t *testing.T) {
	s := redistest.Start(t)
	a := newReplica(t, s)
	q := ask(t, "GET", keyPath)
	fetch(t, a.Cache, q, 200, http.Header{"Cache-Control": {"no-store"}}, "v")
	fetch(t, a.Cache, q, 500, nil, "v")
	r := a.Look(t.Context(), q, time.Now())
	r.Fill.Response(200, nil, 5)
	_, _ = r.Fill.Write([]byte("cut"))
	r.Fill.Close(true)
	large := ask(t, "GET", keyPath+"large")
	fetch(t, a.Cache, large, 200, nil, strings.Repeat("x", 65<<10))
	fetch(t, a.Cache, ask(t, "GET", keysPath), 200, nil, "this one")
	await(t, "one is shared", func() bool { return a.Stats().Shared.Kept > 0 })
	if keys := keysLike(t, s, "*:body:*"); len(keys) != 1 {
		t.Errorf("%d bodies are shared, want one", len(keys))
	}
}

func TestSharedEntriesAreOnePrincipalsAndNeedAGrant(t *testing.T) {
	s := redistest.Start(t)
	a, b := newReplica(t, s), newReplica(t, s)
	q := ask(t, "GET", keyPath)
	a.share(t, s, q, nil, "of one")

	other := q
	other.Scope = "two" // even with the same token
	wantMiss(t, b.Cache, other)
	if n := b.Stats(); n.SharedMisses != 1 || n.SharedHits != 0 {
		t.Errorf("another principal: %+v, want a lookup without a result", n)
	}
	token := q
	token.Token = [32]byte{2} // of the same client, perhaps with fewer rights
	for _, r := range []*replica{a, b} {
		wantMiss(t, r.Cache, token)
	}
	for _, read := range []string{"HEAD " + keyPath, "GET " + keysPath, "GET " + storePath, "GET " + storesPath + "/other/partitions/p/keys/k"} {
		method, path := split(read)
		wantMiss(t, b.Cache, ask(t, method, path)) // the grant is for one kind of read of one store
	}
	elsewhere := q
	elsewhere.Location = "eu/eu-west-1"
	wantMiss(t, b.Cache, elsewhere)
	if n := b.Stats(); n.SharedMisses != 1 || n.SharedHits != 0 {
		t.Errorf("without a grant: %+v, want no lookup", n)
	}
	wantHit(t, b.Cache, q)
	b.Grant(token, time.Now())
	wantHit(t, b.Cache, token)
}

func TestOnlyIfCachedFindsWhatIsShared(t *testing.T) {
	s := redistest.Start(t)
	a, b := newReplica(t, s), newReplica(t, s)
	a.share(t, s, ask(t, "GET", keyPath), nil, "v")
	wantHit(t, b.Cache, ask(t, "GET", keyPath, "Cache-Control", "only-if-cached"))
}

func TestEntryTooLargeForThisProcessIsServedFromRedis(t *testing.T) {
	s := redistest.Start(t)
	a := newReplica(t, s)
	q := ask(t, "GET", keyPath)
	a.share(t, s, q, nil, "value")
	b := newReplica(t, s, func(o *cache.Options) { o.Bytes, o.EntryBytes = 10, 10 })
	for range 2 {
		if _, body := look(t, b.Cache, q); body != "value" {
			t.Errorf("got %q, want the value", body)
		}
	}
	wantMiss(t, newReplica(t, s, func(o *cache.Options) { o.EntryBytes = 4 }).Cache, q)
}

func TestSharedBodiesAndGrantsOverACluster(t *testing.T) {
	t.Parallel()
	s := redistest.StartCluster(t, "--cluster-node-timeout", "60000") // no node counts as failed
	a, b := newReplica(t, s), newReplica(t, s)
	const many = 24
	var questions []cache.Question
	for n := range many {
		q := ask(t, "GET", fmt.Sprintf("environments/env/stores/st%d/partitions/p/keys/k", n))
		q.Token = [32]byte{1, byte(n)}
		questions = append(questions, q)
		a.fetch(t, q, nil, fmt.Sprint(n))
	}
	await(t, "all are shared", func() bool { return a.Stats().Shared.Kept == many })
	for n, q := range questions {
		await(t, "a hit", func() bool { _, body := look(t, b.Cache, q); return body == fmt.Sprint(n) })
		a.Revoke(t.Context(), q.Token)
		wantMiss(t, b.Cache, q)
	}
	if a.coherence.Unpublished() != 0 {
		t.Errorf("%d grants were not published", a.coherence.Unpublished())
	}
}
