package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestClientAtFullSpeedGetsNo429OfObjectStore sends as many requests as it can, over
// many connections, through the gateway to an osemu that admits 10 in any second. Each
// request waits for its turn. If one reaches osemu a moment too early, the gateway
// waits and sends it again.
func TestClientAtFullSpeedGetsNo429OfObjectStore(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string][]string{
		"window": {"RATE_ALGORITHM=window"},
		"spaced": {"RATE_BURST=1"},
		"burst":  {}, // osemu, unlike the quota, admits 10 in any second: it refuses some after the burst
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, true, "-rate", "10")
			gateways := s.gateways(2, append(settings, "RATE_MAX_WAIT=60s", "CACHE_KEY_TTL=0")...)
			one := clientOfEach(gateways, "app-one")
			y := sendUntilCounted(20, keyOne, slices.Concat(one, one, one, one)...)
			y.checkStatuses(t, http.StatusOK)
			y.checkTenPerSecond(t, http.StatusOK)
			served := s.emulator.requests(isObjectStoreRequest, func(r receivedRequest) bool { return r.Status == http.StatusOK })
			if len(served) != y.byStatus[http.StatusOK] {
				t.Errorf("osemu served %d requests, the client received %v", len(served), y)
			}
			t.Logf("osemu refused %d of %d", len(s.emulator.requests(isObjectStoreRequest))-len(served), len(served))
		})
	}
}

// refuseObjectStore makes osemu answer 429 to each Object Store request, and to no
// other, until fault ends it.
func (e *emulator) refuseObjectStore() {
	e.t.Helper()
	e.backDoor(http.MethodPut, "faults", `{"429":1,"on":["objectstore"]}`)
}

// TestUpstreams429IsRelayedAndObeyed makes osemu refuse one client. The next requests
// of this client do not reach osemu, those of another client do.
func TestUpstreams429IsRelayedAndObeyed(t *testing.T) {
	t.Parallel()
	withAndWithoutRedis(t, func(t *testing.T, s *stack) {
		// A refusal without Retry-After pauses the client for one interval, which is
		// 100 s here.
		g := s.gateway("RATE=3", "RATE_PERIOD=300s", "RATE_BURST=3", "RATE_MAX_WAIT=0", "CACHE_KEY_TTL=0")
		one, two := g.as("app-one"), g.as("app-two")
		s.emulator.refuseObjectStore()
		direct := client{t: t, base: s.emulator.url + "/us/us-east-1", token: one.token}.get(keyOne).is(http.StatusTooManyRequests)
		s.emulator.clearRequests()
		passed := one.get(keyOne).is(http.StatusTooManyRequests)
		if passed.body != direct.body || passed.header.Get("Content-Type") != direct.header.Get("Content-Type") || passed.header.Get("Proxy-Status") != "" {
			t.Errorf("the 429 of osemu was received as %q %v, want %q unchanged", passed.body, passed.header, direct.body)
		}
		passed.checkStructuredQuota(3, 300)
		s.emulator.setFault("", "")
		paused := one.get(keyOne)
		paused.checkRefusal(http.StatusTooManyRequests, "over-quota")
		paused.checkViolatedPolicy("upstream", 100)
		one.put("in-the-pause", "x").checkRefusal(http.StatusTooManyRequests, "over-quota")
		if n := len(s.emulator.requests(isObjectStoreRequest)); n != 1 {
			t.Errorf("osemu received %d requests of a client that it refused once, want 1", n)
		}
		two.get(keyOne).is(http.StatusOK)
	})
}

// TestUpstreams429IsRetriedUntilItEnds makes osemu refuse a read and a write for a
// while. The gateway sends them again, and the client receives no 429.
func TestUpstreams429IsRetriedUntilItEnds(t *testing.T) {
	t.Parallel()
	withAndWithoutRedis(t, func(t *testing.T, s *stack) {
		one := s.gateway("RATE=100", "RATE_BURST=100", "RATE_MAX_WAIT=60s", "CACHE_KEY_TTL=0").as("app-one")
		s.emulator.refuseObjectStore()
		var all sync.WaitGroup
		all.Go(func() { one.sendExpecting(t, http.StatusOK, http.MethodGet, keyOne, "") })
		all.Go(func() {
			one.sendExpecting(t, http.StatusCreated, http.MethodPut, demoKeys+"/waited-out", stringValue("waited-out", "x"))
		})
		refused := func(r receivedRequest) bool { return isObjectStoreRequest(r) && r.Status == http.StatusTooManyRequests }
		eventually(t, "osemu to refuse both more than once", func() bool {
			return len(s.emulator.requests(refused, hasTarget("GET", keyOne))) > 1 &&
				len(s.emulator.requests(refused, hasTarget("PUT", demoKeys+"/waited-out"))) > 1
		})
		s.emulator.setFault("", "")
		all.Wait()
		if a := one.get(demoKeys + "/waited-out").is(http.StatusOK); !strings.Contains(a.body, `"x"`) {
			t.Errorf("the value written after a 429 is read as %s", a.body)
		}
	})
}

// TestRefusalOfTheGatewaysAddressPausesAllClients has an upstream that refuses all
// requests of an address, and names it. With a budget, no request of any client is sent
// until Retry-After is over. Without a budget, or if upstream names a client, the
// requests of other clients are sent.
func TestRefusalOfTheGatewaysAddressPausesAllClients(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		subject, budget string
		binds           bool
	}{
		"address, budget":    {"ip 192.0.2.1", "BUDGET=1000", true},
		"address, no budget": {"ip 192.0.2.1", "BUDGET=0", false},
		"client, budget":     {"client app-one", "BUDGET=1000", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "600") // longer than the test
				w.WriteHeader(http.StatusTooManyRequests)
				_, _ = fmt.Fprintf(w, `{"status":"failure","statusMessage":"%s can not perform more requests in this time window"}`, tt.subject)
			})
			g := newStack(t, false).gateway("UPSTREAM_OVERRIDE="+u.URL, "RATE=1000", "RATE_BURST=1000", "RATE_MAX_WAIT=0", "CACHE_KEY_TTL=0", tt.budget)
			one, others := g.as("app-one"), []client{g.as("app-two"), g.as("app-read")}
			if a := one.get(keyOne).is(http.StatusTooManyRequests); a.header.Get("Proxy-Status") != "" {
				t.Fatalf("%v %s, want the response of upstream", a.header, a.body)
			}
			a := one.get(keyOne)
			a.checkRefusal(http.StatusTooManyRequests, "over-quota")
			a.checkViolatedPolicy("upstream", 600)
			for i, other := range others {
				a, asked := other.get(keyOne), 1
				if tt.binds {
					a.checkRefusal(http.StatusTooManyRequests, "over-quota")
					a.checkViolatedPolicy("upstream", 600)
				} else {
					asked += i + 1
				}
				if n := len(u.requests()); n != asked {
					t.Errorf("upstream received %d requests, the latest of %d clients, want %d", n, i+2, asked)
				}
			}
		})
	}
}

// TestUpstreamsRetryAfterIsObeyed: osemu answers with Retry-After, and refuses each
// request that arrives sooner.
func TestUpstreamsRetryAfterIsObeyed(t *testing.T) {
	t.Parallel()
	s := newStack(t, false, "-rate", "2", "-choose", "retry-after=on")
	one := s.gateway("RATE=1000", "RATE_BURST=1000", "RATE_MAX_WAIT=60s", "CACHE_KEY_TTL=0").as("app-one")
	y := sendFor(3*time.Second, 0, keyOne, one, one)
	y.checkStatuses(t, http.StatusOK)
	refused := len(s.emulator.requests(isObjectStoreRequest, func(r receivedRequest) bool { return r.Status == http.StatusTooManyRequests }))
	if most := 4 * (1 + y.elapsed.Seconds()); float64(refused) > most { // two callers, which know with a precision of a second when a refusal is over
		t.Errorf("osemu refused %d requests in %v, want at most %.0f; %v", refused, y.elapsed, most, y)
	}
}

// TestLongBodyIsNotSentAgain: osemu's 429 is passed on if the gateway would have to
// keep the whole request for sending it again.
func TestLongBodyIsNotSentAgain(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	one := s.gateway("RATE_MAX_WAIT=60s").as("app-one")
	s.emulator.refuseObjectStore()
	a := one.put("long", strings.Repeat("x", 65<<10)).is(http.StatusTooManyRequests)
	if a.header.Get("Proxy-Status") != "" {
		t.Errorf("%v %s, want osemu's own answer", a.header, a.body)
	}
	if n := len(s.emulator.requests(isObjectStoreRequest)); n != 1 {
		t.Errorf("osemu received %d requests, want 1", n)
	}
}

// sendExpecting sends a request, and fails the test unless the answer has this status.
// It may be called from any goroutine.
func (c client) sendExpecting(t *testing.T, status int, method, path, body string) {
	if a, err := c.try(method, path, body, "Content-Type: application/json"); err != nil {
		t.Errorf("%s %s: %v", method, path, err)
	} else if a.status != status {
		t.Errorf("%s %s: status %d, want %d\n%s", method, path, a.status, status, a.body)
	}
}
