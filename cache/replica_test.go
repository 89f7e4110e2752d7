package cache_test

import (
	"bytes"
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"osgate/cache"
	"osgate/cache/coherence"
	"osgate/internal/redisconn"
	"osgate/internal/redisconn/redistest"
)

var (
	sharedSecret = bytes.Repeat([]byte("s"), 32)
	otherSecret  = bytes.Repeat([]byte("o"), 32)
)

// replica is a gateway's cache that shares entries and grants.
type replica struct {
	*cache.Cache
	coherence *coherence.Redis
	grants    *coherence.RedisGrants
	bodies    *cache.SharedBodies
}

// place is a Redis, a single server or a cluster.
type place interface{ URL() string }

// newReplica starts a replica, which runs until the test ends.
func newReplica(t testing.TB, s place, change ...func(*cache.Options)) *replica {
	t.Helper()
	return startReplica(t, s, sharedSecret, time.Minute, change...)
}

func startReplica(t testing.TB, s place, secret []byte, settle time.Duration, change ...func(*cache.Options)) *replica {
	t.Helper()
	return replicaOn(t, s, dialURL(t, s.URL(), time.Minute), secret, settle, change...)
}

// replicaOn is startReplica with a connection of its own for the coherence, which it
// closes.
func replicaOn(t testing.TB, s place, conn *redisconn.Conn, secret []byte, settle time.Duration, change ...func(*cache.Options)) *replica {
	t.Helper()
	r := &replica{coherence: onConn(t, conn, coherence.RedisOptions{Settle: settle})}
	r.bodies = bodiesOn(t, dialURL(t, s.URL(), time.Minute), secret)
	r.grants = grantsOf(t, r.coherence, secret)
	r.Cache = newCache(t, append([]func(*cache.Options){func(o *cache.Options) {
		o.Coherence, o.SharedGrants, o.Shared = r.coherence, r.grants, r.bodies
	}}, change...)...)
	return r
}

func grantsOf(t testing.TB, c *coherence.Redis, secret []byte) *coherence.RedisGrants {
	t.Helper()
	g, err := c.Grants(secret)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func dialURL(t testing.TB, url string, timeout time.Duration) *redisconn.Conn {
	t.Helper()
	conn, err := redisconn.Open(redisconn.Options{URL: url, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// bodiesOn returns shared bodies that run until the test ends, over a connection that
// they close.
func bodiesOn(t testing.TB, conn *redisconn.Conn, secret []byte) *cache.SharedBodies {
	t.Helper()
	b := idleBodies(t, conn, secret)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		_ = conn.Close()
	})
	return b
}

func idleBodies(t testing.TB, conn *redisconn.Conn, secret []byte) *cache.SharedBodies {
	t.Helper()
	b, err := cache.NewSharedBodies(conn, secret, cache.SharedOptions{EntryBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// await waits until is returns true, which background work causes.
func await(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); <-time.After(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

// share is a fetch whose answer and grant have reached Redis. It counts grants, so each
// call needs a target of its own.
func (r *replica) share(t testing.TB, s *redistest.Server, q cache.Question, header http.Header, body string) {
	t.Helper()
	kept, granted := r.Stats().Shared.Kept, len(keysLike(t, s, "*:grant:*"))
	r.fetch(t, q, header, body)
	await(t, "the body is shared", func() bool { return r.Stats().Shared.Kept > kept })
	await(t, "the grant is shared", func() bool { return len(keysLike(t, s, "*:grant:*")) > granted })
}

// fetch is a read that misses. Upstream answers it after the generations were read.
func (r *replica) fetch(t testing.TB, q cache.Question, header http.Header, body string) {
	t.Helper()
	found := r.Look(t.Context(), q, time.Now())
	if found.Fill == nil {
		t.Fatalf("got %s, want a miss that may be stored", found.Status)
	}
	receive(r.Cache, q, found, answer{200, header, body}, time.Now())
}

func keysLike(t testing.TB, s *redistest.Server, pattern string) []string {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: s.Addr()})
	defer func() { _ = c.Close() }()
	keys, err := c.Keys(t.Context(), pattern).Result()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}
