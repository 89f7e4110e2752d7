package e2e

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"

	"osgate/internal/redisconn/redistest"
)

// sandboxKeys are the keys of another store of the same organization.
const sandboxKeys = "/api/v1/organizations/org-root/environments/env-sandbox/stores/APP_demo__defaultPersistentObjectStore/partitions/DEFAULT_PARTITION/keys"

// checkStructuredQuota checks the same fields as limited, with a parser of structured
// fields (RFC 9651): both are lists of strings with integer parameters
// (draft-ietf-httpapi-ratelimit-headers-10). It does not end the test.
func (a *answer) checkStructuredQuota(limit, window int64) {
	a.t.Helper()
	for name, parameters := range map[string][]string{"RateLimit-Policy": {"q", "w"}, "RateLimit": {"r", "t"}} {
		list, err := httpsfv.UnmarshalList(a.header.Values(name))
		if err != nil || len(list) != 1 {
			a.t.Errorf("%s: %d, %s %q is no list of one: %v", a.request, a.status, name, a.header.Values(name), err)
			continue
		}
		item, ok := list[0].(httpsfv.Item)
		if policy, text := item.Value.(string); !ok || !text || policy != "client" {
			a.t.Errorf("%s: %d, %s has %v, want the string client", a.request, a.status, name, list[0])
			continue
		}
		got := map[string]int64{}
		for _, parameter := range item.Params.Names() {
			value, _ := item.Params.Get(parameter)
			if got[parameter], ok = value.(int64); !ok || got[parameter] < 0 {
				a.t.Errorf("%s: %d, %s: parameter %s is %v, want an integer", a.request, a.status, name, parameter, value)
			}
		}
		if !slices.Equal(item.Params.Names(), parameters) {
			a.t.Errorf("%s: %d, %s has parameters %v, want %v", a.request, a.status, name, item.Params.Names(), parameters)
		}
		if name == "RateLimit-Policy" && (got["q"] != limit || got["w"] != window) {
			a.t.Errorf("%s: %d, %s %v, want q=%d, w=%d", a.request, a.status, name, got, limit, window)
		}
		if name == "RateLimit" && (got["r"] >= limit || got["t"] > window) {
			a.t.Errorf("%s: %d, %s %v of %d in %d s", a.request, a.status, name, got, limit, window)
		}
	}
	a.checkQuotaReset(int(window))
}

// checkViolatedPolicy checks that a refusal names only this quota policy, and has a
// Retry-After from 1 to this number of seconds.
func (a *answer) checkViolatedPolicy(policy string, within int) {
	a.t.Helper()
	var p struct {
		Violated []string `json:"violated-policies"`
	}
	if err := json.Unmarshal([]byte(a.body), &p); err != nil || !slices.Equal(p.Violated, []string{policy}) {
		a.t.Errorf("%s: %d, violated policies %q, want only %s; body %q: %v", a.request, a.status, p.Violated, policy, a.body, err)
	}
	if after, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || after < 1 || after > within {
		a.t.Errorf("%s: %d, Retry-After %q, want 1 to %d seconds", a.request, a.status, a.header.Get("Retry-After"), within)
	}
}

// checkNoQuota checks that the response has no header of a quota.
func (a *answer) checkNoQuota() {
	a.t.Helper()
	for _, name := range []string{"RateLimit-Policy", "RateLimit", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"} {
		if got := a.header.Get(name); got != "" {
			a.t.Errorf("%s: %d, %s is %q although the request was not charged", a.request, a.status, name, got)
		}
	}
}

// TestQuotaHeadersAreStructuredFields parses the headers of a miss, a hit, an error of
// upstream, a write and a refusal, with each algorithm.
func TestQuotaHeadersAreStructuredFields(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{"gcra", "window"} {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			withAndWithoutRedis(t, func(t *testing.T, s *stack) {
				one := s.gateway("RATE=5", "RATE_BURST=5", "RATE_PERIOD=1h", "RATE_MAX_WAIT=0", "RATE_ALGORITHM="+algorithm).as("app-one")
				hit := func() *answer {
					one.get(keyOne).is(http.StatusOK)
					a := one.get(keyOne).is(http.StatusOK)
					if !strings.HasPrefix(a.header.Get("Cache-Status"), "osgate; hit") {
						t.Errorf("Cache-Status %q, want a hit", a.header.Get("Cache-Status"))
					}
					return a
				}()
				written := one.put("charged", "x").succeeded()
				absent := one.get(demoKeys + "/absent").is(http.StatusNotFound)
				s.emulator.setFault("", "500=1")
				failed := one.get(demoKeys + "/failing").is(http.StatusInternalServerError)
				over := one.get(keyOne)
				over.checkRefusal(http.StatusTooManyRequests, "over-quota")
				over.checkViolatedPolicy("client", 3600)
				for left, a := range []*answer{over, failed, absent, written, hit} {
					a.checkStructuredQuota(5, 3600)
					if got := max(0, left-1); a.checkQuota(5, 3600) != got {
						t.Errorf("%s: RateLimit %q, want %d left", a.request, a.header.Get("RateLimit"), got)
					}
				}
			})
		})
	}
}

// TestHitsUseNoQuotaIfUpstreamRequestsAreCounted sends 300 hits with a quota of one
// request per hour, which they do not use.
func TestHitsUseNoQuotaIfUpstreamRequestsAreCounted(t *testing.T) {
	t.Parallel()
	withAndWithoutRedis(t, func(t *testing.T, s *stack) {
		one := s.gateway("RATE_COUNTS=upstream", "RATE=1", "RATE_PERIOD=1h", "RATE_BURST=1", "RATE_MAX_WAIT=0").as("app-one")
		one.get(keyOne).is(http.StatusOK).checkStructuredQuota(1, 3600)
		for range 300 {
			hit := one.get(keyOne).is(http.StatusOK)
			hit.checkNoQuota()
			if got := hit.header.Get("Cache-Status"); !strings.HasPrefix(got, "osgate; hit") {
				t.Fatalf("Cache-Status %q, want a hit", got)
			}
			if t.Failed() {
				return
			}
		}
		miss := one.get(demoKeys + "/absent")
		miss.checkRefusal(http.StatusTooManyRequests, "over-quota")
		miss.checkViolatedPolicy("client", 3600)
		miss.checkStructuredQuota(1, 3600)
		one.get(keyOne).is(http.StatusOK).checkNoQuota()
		if n := len(s.emulator.requests(isObjectStoreRequest, isNoTTLRequest)); n != 1 {
			t.Errorf("osemu received %d requests, want 1", n)
		}
	})
}

// TestMissesAreLimitedIfUpstreamRequestsAreCounted sends misses only, through two
// gateways.
func TestMissesAreLimitedIfUpstreamRequestsAreCounted(t *testing.T) {
	t.Parallel()
	s := newStack(t, true)
	b := sendAtRate(3*time.Second, 50, clientOfEach(s.gateways(2, "RATE_COUNTS=upstream", "RATE_MAX_WAIT=0"), "app-one")...)
	b.checkRate(t, 10, len(s.emulator.requests(isObjectStoreRequest)))
}

// TestBudgetIsSharedByAllClients sends the requests of two clients through two
// gateways. Together they reach Object Store no more often than one budget allows.
func TestBudgetIsSharedByAllClients(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"egress", "org", "store"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, true)
			gateways := s.gateways(2, "RATE=1000", "RATE_BURST=1000", "RATE_MAX_WAIT=0", "BUDGET=5", "BUDGET_BY="+by)
			one, two := clientOfEach(gateways, "app-one"), clientOfEach(gateways, "app-two")
			b := sendAtRate(2500*time.Millisecond, 40, one[0], two[1], one[1], two[0])
			admitted := len(s.emulator.requests(isObjectStoreRequest))
			if most := 5 + 5*b.elapsed.Seconds() + 1; float64(admitted) > most {
				t.Errorf("osemu received %d requests, want at most 5 + 5 a second + 1 = %.1f; %v", admitted, most, b)
			}
			b.checkLowerBound(t, 5, admitted)
			b.checkStatuses(t, http.StatusNotFound, http.StatusTooManyRequests)
			if b.byStatus[http.StatusNotFound] != admitted {
				t.Errorf("osemu received %d requests; %v", admitted, b)
			}
			checkEachAdmitted(t, gateways)
		})
	}
}

// awaitRefusal sends requests for a key that is not cached, several at once, until the
// client is refused, and returns the refusal. This may take up to patience, which no
// promise limits: packages ratelimit and proxy prove that the first request over a
// quota or budget is refused.
func (c client) awaitRefusal(code string, atOnce int) *answer {
	c.t.Helper()
	var refusal atomic.Pointer[answer]
	for began := time.Now(); refusal.Load() == nil && time.Since(began) < testTimeout; {
		var all sync.WaitGroup
		for range atOnce { // so that the client exceeds its budget on a slow machine too
			all.Go(func() {
				if a, err := c.try(http.MethodGet, demoKeys+"/absent?n", ""); err == nil && a.status == http.StatusTooManyRequests {
					refusal.Store(a)
				}
			})
		}
		all.Wait()
	}
	if refusal.Load() == nil {
		c.t.Fatalf("never %s", code)
	}
	refusal.Load().checkRefusal(http.StatusTooManyRequests, code)
	return refusal.Load()
}

// TestBudgetIsUsedByRequestsToUpstreamOnly: without budget, misses of all clients are
// refused and hits are still served. A budget by store does not affect other stores.
func TestBudgetIsUsedByRequestsToUpstreamOnly(t *testing.T) {
	t.Parallel()
	withAndWithoutRedis(t, func(t *testing.T, s *stack) {
		g := s.gateway("RATE=1000", "RATE_BURST=1000", "RATE_MAX_WAIT=0", "BUDGET=5", "BUDGET_BY=store", "CACHE_KEY_TTL=1h")
		one, two := g.as("app-one"), g.as("app-two")
		one.get(keyOne).is(http.StatusOK)
		for _, c := range []client{one, two, one} {
			over := c.awaitRefusal("over-budget", 20)
			over.checkViolatedPolicy("budget", 1)
			over.checkStructuredQuota(1000, 1) // the client's own quota was charged, and is in the headers
		}
		for range 50 {
			one.get(keyOne).is(http.StatusOK)
		}
		if n := s.emulator.countRequests("GET", keyOne); n != 1 {
			t.Errorf("osemu received %d requests for a cached key, want 1", n)
		}
		for range 5 {
			one.awaitRefusal("over-budget", 20)
			one.get(sandboxKeys + "?pageSize=1").is(http.StatusOK)
		}
	})
}

// TestRequestsOverTheBudgetWaitForTheirTurn sends more requests at once than the budget
// allows. All of them are served, none before its turn.
func TestRequestsOverTheBudgetWaitForTheirTurn(t *testing.T) {
	t.Parallel()
	s := newStack(t, true)
	gateways := s.gateways(2, "BUDGET=5", "RATE_MAX_WAIT=60s")
	b := sendDistinct(15, 0, clientOfEach(gateways, "app-one")...)
	b.checkStatuses(t, http.StatusNotFound)
	if b.elapsed < 1900*time.Millisecond {
		t.Errorf("%v; want 5 at once and 10 in 2 s", b)
	}
}

// TestRequestWhoseTurnIsTooLateIsRefusedAtOnce sends 20 requests at once to a gateway
// that allows one in 8 s and lets each wait for 10 s. One is served at once, one after
// 8 s, and the rest are refused before that.
// ratelimit.TestARequestWhoseTurnIsTooLateIsRefusedAtOnce proves in fake time that they
// are refused at once.
func TestRequestWhoseTurnIsTooLateIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	withAndWithoutRedis(t, func(t *testing.T, s *stack) {
		one := s.gateway("RATE=1", "RATE_PERIOD=8s", "RATE_BURST=1", "RATE_MAX_WAIT=10s").as("app-one")
		b := sendDistinct(20, 0, one)
		b.checkStatuses(t, http.StatusNotFound, http.StatusTooManyRequests)
		if got := b.byStatus[http.StatusNotFound]; got != 2 || b.elapsed < 7900*time.Millisecond {
			t.Errorf("%v; want 2 served, one of them after 8 s", b)
		}
		if took := b.slowest[http.StatusTooManyRequests]; took > 7900*time.Millisecond {
			t.Errorf("%v; a refusal took %v, want it before the first turn", b, took)
		}
	})
}

// TestClientThatClosesItsConnectionGivesUpItsTurn lets clients wait for a turn and
// close their connections. A later client does not wait for their turns. Its turn comes
// after 3 s; the test allows 30 s, because 12 turns would take 36 s.
// ratelimit.TestAClientThatLeavesGivesUpItsPlace proves the exact time, in fake time.
func TestClientThatClosesItsConnectionGivesUpItsTurn(t *testing.T) {
	t.Parallel()
	withAndWithoutRedis(t, func(t *testing.T, s *stack) {
		one := s.gateway("RATE=1", "RATE_PERIOD=3s", "RATE_BURST=1", "RATE_MAX_WAIT=60s").as("app-one")
		one.get(demoKeys + "/absent").is(http.StatusNotFound)
		leaving := one
		leaving.httpClient = newHTTPClient(&http.Transport{})
		leaving.httpClient.Timeout = 300 * time.Millisecond
		b := sendDistinct(12, 0, leaving)
		served := b.byStatus[http.StatusNotFound] // a turn may have come before these requests were sent
		if len(b.failures)+served != 12 || served > 6 {
			t.Fatalf("%v; want no response within 300 ms to most of the requests", b)
		}
		if took := one.get(demoKeys + "/absent").is(http.StatusNotFound).took; took > 30*time.Second {
			t.Errorf("a client waited %v, want 3 s: it waited for clients that had left", took)
		}
		if n := len(s.emulator.requests(isObjectStoreRequest)); n > 3+served {
			t.Errorf("osemu received %d requests, want 2: none of a client that left", n)
		}
	})
}

// countScripts returns how many scripts on keys of quotas a Redis executed during run,
// by its MONITOR output.
func countScripts(t *testing.T, r *redistest.Server, run func()) (times int) {
	t.Helper()
	c, err := net.Dial("tcp", r.Addr())
	if err != nil {
		t.Fatalf("dialing Redis: %v", err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(2 * testTimeout))
	if _, err := io.WriteString(c, "MONITOR\r\n"); err != nil {
		t.Fatalf("sending MONITOR to Redis: %v", err)
	}
	lines := bufio.NewScanner(c)
	if !lines.Scan() || lines.Text() != "+OK" {
		t.Fatalf("MONITOR: %q, %v", lines.Text(), lines.Err())
	}
	counted := make(chan int, 1)
	go func() { // ends with the connection at the latest
		n := 0
		for lines.Scan() && !strings.Contains(lines.Text(), `"ECHO" "over"`) {
			if script := strings.ToLower(lines.Text()); strings.Contains(script, `] "eval`) && strings.Contains(script, ":rate:") {
				n++
			}
		}
		counted <- n
	}()
	run()
	r.Do("ECHO", "over")
	times = <-counted
	if err := lines.Err(); err != nil {
		t.Fatalf("reading the output of MONITOR: %v", err)
	}
	return times
}

// TestRefusedClientCausesOneRedisScriptPerTurn: a client over quota sends as many
// requests as it can. A request that is refused before the next turn of its client
// causes no command to Redis.
func TestRefusedClientCausesOneRedisScriptPerTurn(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{"gcra", "window"} {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			s := newStack(t, false)
			g := s.gateway("REDIS_URL="+server.URL(), "REDIS_TIMEOUT="+longRedisTimeout, "RATE_PERIOD=60s", "RATE_MAX_WAIT=0", "CACHE_KEY_TTL=0", "RATE_ALGORITHM="+algorithm)
			crowd := slices.Repeat(clientOfEach([]*gateway{g}, "app-one"), 8)
			var y *answerCounts
			times := countScripts(t, server, func() { y = sendUntilCounted(1000, keyOne, crowd...) })
			y.checkStatuses(t, http.StatusOK, http.StatusTooManyRequests)
			// At the time of a turn all callers may send a script at the same moment.
			if admitted := y.byStatus[http.StatusOK]; times < admitted || times > len(crowd)*(admitted+1) {
				t.Errorf("Redis executed %d scripts for %d admitted requests, want at most one for each caller and turn; %v", times, admitted, y)
			}
			if refused := y.byStatus[http.StatusTooManyRequests]; refused < 1000 {
				t.Errorf("%v; want 1000 refusals", y)
			}
		})
	}
}
