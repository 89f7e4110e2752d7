package auth_test

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"osgate/auth"
	"osgate/internal/redisconn"
	"osgate/internal/redisconn/redistest"
)

var sealSecret = []byte("0123456789abcdef0123456789abcdef")

// redisPlace is a shared place in a Redis of this test.
func redisPlace(t *testing.T, s *redistest.Server, secret []byte) *auth.Redis {
	t.Helper()
	conn, err := redisconn.Open(redisconn.Options{URL: s.URL(), Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	place, err := auth.NewRedis(conn, secret)
	if err != nil {
		t.Fatal(err)
	}
	return place
}

var somebody = auth.Principal{
	Plane: "eu", Client: "app-one", User: "ann", Organizations: []string{"root", "sub"}, Trees: []auth.Organization{{Root: "root", Subs: []string{"sub"}}},
	Expires: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC),
}

func TestRedisKeepsIdentitiesSealed(t *testing.T) {
	s := redistest.Start(t)
	place, hash := redisPlace(t, s, sealSecret), [32]byte{1, 2, 3}
	found := place.Get(t.Context(), hash)
	if found.Principal != nil || time.Since(found.Clock).Abs() > time.Minute {
		t.Fatalf("empty: %+v", found)
	}
	id := somebody
	place.Put(t.Context(), hash, &id, found.Clock.Add(-10*time.Second), time.Minute)
	found = redisPlace(t, s, sealSecret).Get(t.Context(), hash)
	if found.Principal == nil || found.Age < 10*time.Second || found.Age > 15*time.Second {
		t.Fatalf("found %+v, want it some 10 s old", found)
	}
	if diff := cmp.Diff(&somebody, found.Principal); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
	key := "osgate:identity:{" + hex.EncodeToString(hash[:]) + "}"
	for _, text := range []string{"app-one", "ann", "root", "principal"} {
		if strings.Contains(s.Do("GET", key), text) {
			t.Errorf("%s is readable in Redis", text)
		}
	}
	if got := redisPlace(t, s, append([]byte("x"), sealSecret...)).Get(t.Context(), hash); got.Principal != nil || got.Clock.IsZero() {
		t.Errorf("under another secret: %+v", got)
	}
	place.Drop(t.Context(), hash)
	if got := place.Get(t.Context(), hash); got.Principal != nil || s.Do("DBSIZE") != "0" {
		t.Errorf("after Drop: %+v", got)
	}
}

// A writer to Redis cannot give the identity of one token to another token.
func TestRedisEntryIsBoundToItsPlace(t *testing.T) {
	s := redistest.Start(t)
	place, hash, other := redisPlace(t, s, sealSecret), [32]byte{1}, [32]byte{2}
	id := somebody
	place.Put(t.Context(), hash, &id, place.Get(t.Context(), hash).Clock, time.Minute)
	s.Do("COPY", identityKey(hash), identityKey(other))
	if got := place.Get(t.Context(), other); got.Principal != nil || got.Clock.IsZero() {
		t.Errorf("elsewhere: %+v", got)
	}
	for _, garbage := range []string{"", "x", strings.Repeat("x", 1000)} {
		s.Do("SET", identityKey(hash), garbage, "PX", "1000")
		if got := place.Get(t.Context(), hash); got.Principal != nil || got.Clock.IsZero() {
			t.Errorf("garbage: %+v", got)
		}
	}
	s.Do("DEL", identityKey(hash))
	s.Do("LPUSH", identityKey(hash), "x")
	if got := place.Get(t.Context(), hash); got.Principal != nil {
		t.Errorf("of another type: %+v", got)
	}
}

// A command that Redis runs late does not extend a life: it contains the end, not a
// time to live.
func TestLatePutMakesNothingYounger(t *testing.T) {
	s := redistest.Start(t)
	place, hash := redisPlace(t, s, sealSecret), [32]byte{1}
	id := somebody
	clock := place.Get(t.Context(), hash).Clock
	place.Put(t.Context(), hash, &id, clock.Add(-50*time.Second), time.Minute)
	if got := place.Get(t.Context(), hash); got.Principal == nil || got.Age < 50*time.Second {
		t.Errorf("%+v, want it 50 s old", got)
	}
	place.Put(t.Context(), hash, &id, clock.Add(-61*time.Second), time.Minute)
	if got := place.Get(t.Context(), hash); got.Principal != nil {
		t.Errorf("%+v, want nothing: it was over when it came", got)
	}
	place.Put(t.Context(), hash, &id, clock, 0)
	if got := place.Get(t.Context(), hash); got.Principal != nil {
		t.Errorf("%+v, want nothing that lives no time", got)
	}
}

// TestUnreadableIdentitiesAreCounted, and a missing one is not counted.
func TestUnreadableIdentitiesAreCounted(t *testing.T) {
	s := redistest.Start(t)
	place, hash := redisPlace(t, s, sealSecret), [32]byte{1}
	if place.Get(t.Context(), hash); place.Unreadable() != 0 {
		t.Errorf("%d identities are unreadable of none", place.Unreadable())
	}
	s.Do("SET", identityKey(hash), "garbage")
	for want := range int64(2) {
		if found := place.Get(t.Context(), hash); found.Principal != nil || place.Unreadable() != want+1 {
			t.Errorf("%+v, %d unreadable, want %d", found, place.Unreadable(), want+1)
		}
	}
}

func TestHugeIdentityIsNotShared(t *testing.T) {
	s := redistest.Start(t)
	place := redisPlace(t, s, sealSecret)
	id := auth.Principal{Client: "app", Organizations: []string{strings.Repeat("x", 1<<20)}}
	place.Put(t.Context(), [32]byte{1}, &id, place.Get(t.Context(), [32]byte{1}).Clock, time.Minute)
	if got := s.Do("DBSIZE"); got != "0" {
		t.Errorf("%s keys", got)
	}
}

func TestRedisTroubleIsAMiss(t *testing.T) {
	s := redistest.Start(t)
	resolver, lookups := counted(yes)
	conn, err := redisconn.Open(redisconn.Options{URL: s.URL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	place, err := auth.NewRedis(conn, sealSecret)
	if err != nil {
		t.Fatal(err)
	}
	share := func(o *auth.Options) { o.Shared, o.Secret = place, sealSecret }
	for name, trouble := range map[string]func(){"black hole": s.Pause, "refused": s.Stop} {
		trouble()
		for range 5 {
			came := time.Now()
			expect(t, newAuthenticator(t, resolver, share), "us", token, "fresh")
			if waited := time.Since(came); waited > time.Minute { // 50 ms on an idle machine
				t.Errorf("%s: waited %v", name, waited)
			}
		}
		s.Restart()
	}
	if got := lookups.Load(); got != 10 {
		t.Errorf("%d lookups for 10", got)
	}
}

func TestReplicasShareThroughRedis(t *testing.T) {
	s := redistest.Start(t)
	resolver, lookups := counted(yes)
	for range 5 {
		place := redisPlace(t, s, sealSecret)
		a := newAuthenticator(t, resolver, func(o *auth.Options) { o.Shared, o.Secret = place, sealSecret })
		id, err := a.Identify(t.Context(), "us", token, "")
		if err != nil || id.Stale || id.Client != "client of "+token.Header() {
			t.Errorf("%+v, %v", id, err)
		}
		a.Close() // waits until the identities are shared
	}
	if got := lookups.Load(); got != 1 {
		t.Errorf("%d lookups for 5 replicas", got)
	}
	s.Flush()
	place := redisPlace(t, s, sealSecret)
	expect(t, newAuthenticator(t, resolver, func(o *auth.Options) { o.Shared, o.Secret = place, sealSecret }), "us", token, "fresh")
	if got := lookups.Load(); got != 2 {
		t.Errorf("%d lookups, want again when Redis has forgotten", got)
	}
}

func TestShortSecretSharesNothing(t *testing.T) {
	if place, err := auth.NewRedis(nil, sealSecret[1:]); err == nil || place != nil || strings.Contains(err.Error(), string(sealSecret[1:])) {
		t.Errorf("%v, %v", place, err)
	}
}
