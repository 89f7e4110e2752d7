package cache

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"osgate/cache/coherence"
	"osgate/internal/redisconn"
	"osgate/internal/redisconn/redistest"
	"osgate/objectstore"
)

// redisOf returns the coherence of a gateway on s, without its Run.
func redisOf(t testing.TB, s *redistest.Server) *coherence.Redis {
	t.Helper()
	conn, err := redisconn.Open(redisconn.Options{URL: s.URL(), Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c, err := coherence.NewRedis(conn, coherence.RedisOptions{Settle: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func clientOf(t testing.TB, s *redistest.Server) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: s.Addr()})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// keysAfter returns all keys that an empty Redis has after do; all generations among
// them expire.
func keysAfter(t testing.TB, s *redistest.Server, do func() error) []string {
	t.Helper()
	s.Flush()
	if err := do(); err != nil {
		t.Fatal(err)
	}
	keys, err := clientOf(t, s).Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if ttl := s.Do("PTTL", key); strings.Contains(key, ":generation:") && strings.Contains(ttl, "-") {
			t.Errorf("key %q is kept for ever (%s)", key, ttl)
		}
	}
	return keys
}

func TestRedisHoldsNoNamesAndForgetsByItself(t *testing.T) {
	s := redistest.Start(t)
	c := redisOf(t, s)
	ref := objectstore.Ref{Organization: "SECRETORG", Environment: "SECRETENV", Store: "SECRETSTORE", Partition: "SECRETPART", Key: "SECRETKEY"}
	on := resourcesOf("us/SECRETREGION", ref, objectstore.Key|objectstore.Partition|objectstore.Store)
	redis := clientOf(t, s)
	keys := append(keysAfter(t, s, func() error { _, err := c.Read(t.Context(), on); return err }),
		keysAfter(t, s, func() error { return c.Mark(t.Context(), on, coherence.NewID(), 0) })...)
	tags := map[string]bool{}
	for _, key := range keys {
		if strings.Contains(key, "SECRET") || !strings.HasPrefix(key, "osgate:") {
			t.Errorf("key %q", key)
		}
		tags[key[strings.Index(key, "{"):strings.Index(key, "}")]] = true
	}
	if len(keys) != 8 || len(tags) != 1 {
		t.Errorf("got keys %q, want an epoch and three generations in one slot, twice", keys)
	}
	if err := c.Mark(t.Context(), on, coherence.NewID(), time.Minute); err != nil {
		t.Fatal(err)
	}
	slot, err := redis.Keys(t.Context(), "*:epoch:*").Result()
	if err != nil || len(slot) != 1 {
		t.Fatalf("got the slots %q, %v, want one", slot, err)
	}
	hash, err := redis.HGetAll(t.Context(), slot[0]).Result()
	if err != nil || len(hash) < 7 {
		t.Fatalf("the slot's hash: %q, %v", hash, err)
	}
	for field, value := range hash {
		if strings.Contains(field+value, "SECRET") {
			t.Errorf("the slot's hash holds names: %q: %q", field, value)
		}
	}
}

// await reads until the reason not to serve on from the cache is closed.
func await(t *testing.T, c coherence.Tracker, on coherence.Resources, closed string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; <-time.After(5 * time.Millisecond) {
		reading, err := c.Read(t.Context(), on)
		if err != nil {
			t.Fatal(err)
		}
		if reading.Closed == closed {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("closed as %q, want %q", reading.Closed, closed)
		}
	}
}

// A client disconnects while its write is being marked: the write is not sent, but the
// mark may have been made.
func TestAbandonedMarkIsTakenBack(t *testing.T) {
	s := redistest.Start(t)
	c := redisOf(t, s)
	gw, err := New(Options{KeyTTL: time.Minute, WriteLease: time.Minute, Coherence: c})
	if err != nil {
		t.Fatal(err)
	}
	put := writeOf(t, "", "PUT s/partitions/p/keys/k")
	on := resourcesOf(put.Location, put.Operation.Ref, objectstore.Key)
	if _, err := c.Read(t.Context(), on); err != nil {
		t.Fatal(err)
	}
	if err := c.Mark(t.Context(), coherence.Of(coherence.Resource{}), coherence.NewID(), time.Minute); err != nil { // Redis has the script
		t.Fatal(err)
	}
	s.Pause()
	ctx, leave := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer leave()
	_, err = gw.Mark(ctx, put, time.Now())
	s.Resume()
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the client's error", err)
	}
	await(t, c, on, "write-in-flight") // no error: the write is not remembered as unmarked
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Run(ended); err != nil { // gives the lease back
		t.Fatal(err)
	}
	await(t, c, on, "")
}
