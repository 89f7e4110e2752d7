package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestRequestsAreServedWithoutRedis stops Redis in two ways while clients send requests
// within the local share, and starts it again. All requests are served.
func TestRequestsAreServedWithoutRedis(t *testing.T) {
	t.Parallel()
	for name, outage := range map[string]struct{ begin, end func(r *redis) }{
		"killed":  {begin: func(r *redis) { r.kill() }, end: func(r *redis) { r.restart() }},
		"stopped": {begin: func(r *redis) { r.signal(syscall.SIGSTOP) }, end: func(r *redis) { r.signal(syscall.SIGCONT) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, true)
			g := s.gateway("REDIS_TIMEOUT="+failingRedisTimeout.String(), "RATE=1000", "RATE_BURST=1000")
			one, two := g.as("app-one"), g.as("app-two")
			f := startTraffic(t, one, two, one, two)
			f.awaitRounds(t, 2)
			outage.begin(s.redis)
			g.awaitDegraded(t, true)
			f.awaitRounds(t, 12)
			one.put("written-in-the-dark", "x").succeeded()
			if a := one.get(demoKeys + "/written-in-the-dark").is(http.StatusOK); !strings.Contains(a.body, `"x"`) {
				t.Errorf("the answer is older than a write without Redis: %s", a.body)
			}
			f.finish().checkStatuses(t, http.StatusOK)
			g.as("app-sub").get("/api/v1/organizations/org-sub/environments/env-sub/stores").is(http.StatusOK) // a token that is minted without Redis

			outage.end(s.redis)
			g.awaitDegraded(t, false)
			s.redis.deleteAllKeys(t)
			one.get(demoKeys + "/absent").is(http.StatusNotFound)
			eventually(t, "quotas in Redis again", func() bool {
				one.get(demoKeys + "/absent")
				size, err := s.redis.command("DBSIZE")
				return err == nil && size != ":0"
			})
		})
	}
}

// awaitDegraded waits until /readyz reports the gateway as degraded, or no longer does
// if want is false. Its status is 200 all the time.
func (g *gateway) awaitDegraded(t *testing.T, want bool) {
	t.Helper()
	ready := client{t: t, base: g.admin}
	eventually(t, fmt.Sprintf("readiness to be degraded: %v", want), func() bool {
		return strings.Contains(ready.get("/readyz").is(http.StatusOK).body, "degraded") == want
	})
	ready.get("/livez").is(http.StatusOK)
}

// deleteAllKeys deletes everything in Redis.
func (r *redis) deleteAllKeys(t *testing.T) {
	t.Helper()
	if answer, err := r.command("FLUSHALL"); err != nil || answer != "+OK" {
		t.Fatalf("FLUSHALL: %q, %v", answer, err)
	}
}

// TestSilentRedisDelaysNoRequestForLong sends requests while Redis does not respond,
// with the default REDIS_TIMEOUT of 50 ms. Its bound is coarse, and detects the timeout
// of the client library (3 s, with retries).
// internal/redisconn.TestASilentRedisHoldsNobodyLongerThanTheDefaultTimeout proves the
// exact bound, in fake time.
func TestSilentRedisDelaysNoRequestForLong(t *testing.T) {
	t.Parallel()
	const coarse = 2500 * time.Millisecond
	s := newStack(t, true)
	g := s.gateway("REDIS_TIMEOUT=", "RATE=1000", "RATE_BURST=1000", "BUDGET=1000")
	one := g.as("app-one")
	one.get(keyOne).is(http.StatusOK)
	s.redis.signal(syscall.SIGSTOP)
	defer s.redis.signal(syscall.SIGCONT)
	for range 10 {
		for what, ask := range map[string]func(){
			"read":  func() { one.get(keyOne).is(http.StatusOK) },
			"write": func() { one.put("in-silence", "x").succeeded() },
		} {
			start := time.Now()
			ask()
			if took := time.Since(start); took > coarse {
				t.Errorf("a %s took %v while Redis was silent, want 100 ms, and at most %v on a busy machine", what, took, coarse)
			}
		}
	}
}

// TestGatewayServesIfRedisIsUnavailableAtTheStart starts the gateway before Redis. It
// serves.
func TestGatewayServesIfRedisIsUnavailableAtTheStart(t *testing.T) {
	t.Parallel()
	s := newStack(t, true)
	s.redis.kill()
	g := s.gateway("REDIS_TIMEOUT=" + failingRedisTimeout.String())
	one := g.as("app-one")
	for range 5 {
		one.get(keyOne).is(http.StatusOK)
	}
	g.awaitDegraded(t, true)
	s.redis.restart()
	g.awaitDegraded(t, false)
	one.get(keyOne).is(http.StatusOK)
}

// TestLocalShareIsTheQuotaDividedByReplicas stops Redis under one of two replicas,
// which then admits half of the quota.
func TestLocalShareIsTheQuotaDividedByReplicas(t *testing.T) {
	t.Parallel()
	s := newStack(t, true)
	g := s.gateway("REDIS_TIMEOUT=", "REPLICAS=2", "RATE_BURST=2", "RATE_MAX_WAIT=0", "CACHE_KEY_TTL=0")
	one := g.as("app-one")
	one.get(keyOne).is(http.StatusOK)
	s.redis.kill()
	g.awaitDegraded(t, true)
	s.emulator.clearRequests()
	y := sendWhile(func(y *answerCounts) bool {
		past := time.Since(y.began)
		return past < 2*time.Second || past < testTimeout && (y.count(http.StatusOK) < 5 || y.count(http.StatusTooManyRequests) == 0)
	}, 20*time.Millisecond, keyOne, one, one)
	admitted := float64(len(s.emulator.requests(isObjectStoreRequest)))
	if most := 2 + 5*y.elapsed.Seconds() + 1; admitted > most || admitted < 5 {
		t.Errorf("%v; osemu received %.0f, want at most %.1f: half of 10 a second", y, admitted, most)
	}
	if y.byStatus[http.StatusOK] == 0 || y.byStatus[http.StatusTooManyRequests] == 0 || len(y.byStatus) > 2 || len(y.failures) > 0 {
		t.Errorf("%v; want 200 and 429 alone", y)
	}
}
