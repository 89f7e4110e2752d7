package e2e

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// sharedSecret is an OSGATE_SECRET for the replicas of one deployment.
var sharedSecret = "SECRET=" + strings.Repeat("A", 43)

func (a *answer) checkHit(want bool) *answer {
	a.t.Helper()
	if got := a.header.Get("Cache-Status"); strings.HasPrefix(got, "osgate; hit") != want {
		a.t.Errorf("%s: Cache-Status %q, want a hit: %v", a.request, got, want)
	}
	return a
}

// TestRestartedAndAdditionalReplicasUseTheSharedCache reads a value through one gateway
// and then, with the same token, through one that was started later. With a secret the
// second answers from the cache of the first; without one it requests the value itself.
// Redis contains no readable text.
func TestRestartedAndAdditionalReplicasUseTheSharedCache(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		settings []string
		warm     bool
	}{
		"with a secret": {[]string{sharedSecret}, true}, "without": {nil, false}, "switched off": {[]string{sharedSecret, "CACHE_SHARED=false"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, true)
			settings := append([]string{"RATE=0", "CACHE_KEY_TTL=1h"}, tt.settings...)
			a := s.gateway(settings...)
			one := a.as("app-one")
			one.put("warm", "a-value-that-must-not-be-read-in-redis").succeeded()
			path := demoKeys + "/warm"
			first := one.get(path).is(http.StatusOK).checkHit(false)
			eventually(t, "a hit: the write's lease is released after its answer", func() bool {
				return strings.HasPrefix(one.get(path).is(http.StatusOK).header.Get("Cache-Status"), "osgate; hit")
			})
			if tt.warm {
				eventually(t, "the body to be in Redis", func() bool { return strings.Contains(s.redis.keyNames(t), ":body:") })
			}
			b := s.gateway(settings...)
			s.emulator.clearRequests()
			second := one.via(b).get(path).is(http.StatusOK).checkHit(tt.warm)
			if second.body != first.body {
				t.Errorf("another replica answers %q, want %q", second.body, first.body)
			}
			if asked := len(s.emulator.requests(hasTarget(http.MethodGet, path))); asked != map[bool]int{true: 0, false: 1}[tt.warm] {
				t.Errorf("osemu received %d requests", asked)
			}
			other := b.as("app-one") // another token of the same client has no grant yet
			other.get(path).is(http.StatusOK).checkHit(false)
			one.via(b).put("warm", "written-later").succeeded()
			if got := one.get(path).is(http.StatusOK).checkHit(false); !strings.Contains(got.body, "written-later") {
				t.Errorf("after a write through the other replica: %s", got.body)
			}
		})
	}
}

// TestRemovedScopeEndsHitsOnEveryReplica removes the scopes of a client. The 403 that
// one replica receives ends the hits of the other.
func TestRemovedScopeEndsHitsOnEveryReplica(t *testing.T) {
	t.Parallel()
	s := newStack(t, true)
	a, b := s.gateway("RATE=0", "CACHE_KEY_TTL=1h", sharedSecret), s.gateway("RATE=0", "CACHE_KEY_TTL=1h", sharedSecret)
	one := a.as("app-one")
	for _, c := range []client{one, one.via(b)} {
		c.get(keyOne).is(http.StatusOK)
		c.get(keyOne).is(http.StatusOK).checkHit(true)
	}
	s.emulator.setScopes("app-one")
	one.get(demoKeys + "/KeyTwo").is(http.StatusForbidden)
	one.via(b).get(keyOne).is(http.StatusForbidden)
}

// TestThousandMissesOfOneKeySendOneRequest sends a thousand requests for a cold key at
// once.
func TestThousandMissesOfOneKeySendOneRequest(t *testing.T) {
	t.Parallel()
	withAndWithoutRedis(t, func(t *testing.T, s *stack) {
		g := s.gateway("RATE=0", "CACHE_KEY_TTL=1h")
		one := g.as("app-one")
		one.get(demoStore).is(http.StatusOK)
		s.emulator.setFault("500ms", "")
		s.emulator.clearRequests()
		var all sync.WaitGroup
		y := answerCounts{byStatus: map[int]int{}}
		for range 1000 {
			all.Go(func() { y.add(one.try(http.MethodGet, keyOne, "")) })
		}
		all.Wait()
		if asked := len(s.emulator.requests(hasTarget(http.MethodGet, keyOne))); asked != 1 || y.byStatus[http.StatusOK] != 1000 {
			t.Errorf("osemu received %d requests; %v; want 1, and 1000 times 200", asked, &y)
		}
	})
}

// TestStaleAnswersAreServedInAnOutageUntilAWrite makes upstream fail. Stale answers are
// served until a write invalidates them.
func TestStaleAnswersAreServedInAnOutageUntilAWrite(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	g := s.gateway("RATE=0", "CACHE_KEY_TTL=1s", "CACHE_STALE_IF_ERROR=10m")
	one := g.as("app-one")
	fresh := one.get(keyOne).is(http.StatusOK)
	<-time.After(1100 * time.Millisecond)
	s.emulator.setFault("", "500=1")
	if a := one.get(keyOne).is(http.StatusOK); a.body != fresh.body || !strings.Contains(a.header.Get("Cache-Status"), "ttl=-") {
		t.Errorf("during the failure of upstream: Cache-Status %q, %s", a.header.Get("Cache-Status"), a.body)
	}
	one.put("KeyOne", "perhaps") // its outcome is unknown
	one.get(keyOne).is(http.StatusInternalServerError)
}

// TestEnvironmentScopeSharesEntriesAmongPermittedClients reads as two clients of an
// environment, and as one that may only read stores.
func TestEnvironmentScopeSharesEntriesAmongPermittedClients(t *testing.T) {
	t.Parallel()
	withAndWithoutRedis(t, func(t *testing.T, s *stack) {
		g := s.gateway("RATE=0", "CACHE_SCOPE=environment", "CACHE_KEY_TTL=1h", sharedSecret)
		one, two, read := g.as("app-one"), g.as("app-two"), g.as("app-read")
		one.get(keyOne).is(http.StatusOK).checkHit(false)
		two.get(demoKeys + "/KeyTwo").is(http.StatusOK).checkHit(false) // its grant for the values of this store
		two.get(keyOne).is(http.StatusOK).checkHit(true)
		read.get(demoStore).is(http.StatusOK)
		for range 2 {
			read.get(keyOne).is(http.StatusForbidden)
		}
	})
}

// TestThePlainModeIsAStrictSharedCache puts osgate in front of an origin that is no
// Object Store.
func TestThePlainModeIsAStrictSharedCache(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := asked.Add(1)
		w.Header().Set("Cache-Control", strings.TrimPrefix(r.URL.Path, "/"))
		w.Header().Set("Etag", `"v"`)
		if r.Header.Get("If-None-Match") == `"v"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = w.Write([]byte(strconv.FormatInt(n, 10)))
	}))
	defer origin.Close()
	s := newStack(t, false)
	g := s.gateway("CACHE_MODE=rfc9111", "UPSTREAM_OVERRIDE="+origin.URL)
	c := g.client()
	for path, same := range map[string]bool{"/max-age=60": true, "/s-maxage=60": true, "/no-store": false, "/private,max-age=60": false} {
		first, second := c.get(path).is(http.StatusOK), c.get(path).is(http.StatusOK)
		if (first.body == second.body) != same || second.header.Get("Cache-Status") == "" {
			t.Errorf("%s: %q and then %q with Cache-Status %q", path, first.body, second.body, second.header.Get("Cache-Status"))
		}
	}
	first := c.get("/no-cache").is(http.StatusOK)
	before := asked.Load()
	if again := c.get("/no-cache").is(http.StatusOK); again.body != first.body || asked.Load() != before+1 {
		t.Errorf("a response that must be validated each time: %q and then %q", first.body, again.body)
	}
}
