package proxy

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"osgate/ratelimit"
)

// budget gives all clients together rate units a second, counted as one of the values
// of BudgetBy states, such as [ratelimit.BudgetByEgress].
func budget(rate int, by string, wait time.Duration) func(*Options) {
	return func(o *Options) {
		o.Budget, o.BudgetBy, o.MaxWait = ratelimit.Quota{Rate: rate, Period: time.Second, Burst: rate}, by, wait
	}
}

func TestABudgetIsSpentByWhatReachesUpstreamAlone(t *testing.T) {
	g := newRig(t, budget(2, ratelimit.BudgetByEgress, 0))
	for i, want := range []int{200, 200, 200} { // a miss and two hits
		if w := g.get("one", keyPath); w.Code != want {
			t.Fatalf("read %d: %d %s", i, w.Code, w.Body)
		}
	}
	if w := g.get("two", keyPath); w.Code != 200 {
		t.Fatalf("the second unit: %d %s", w.Code, w.Body)
	}
	w := g.get("two", storePath)
	if w.Code != http.StatusTooManyRequests || codeOf(t, w) != "over-budget" || w.Header().Get("Retry-After") != "1" ||
		!strings.Contains(w.Body.String(), `"violated-policies":["budget"]`) {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	if len(g.sent) != 2 || !g.last().Charged {
		t.Errorf("upstream got %d requests, record %+v", len(g.sent), g.last())
	}
	if w := g.get("one", keyPath); w.Code != 200 {
		t.Errorf("a hit over budget: %d %s", w.Code, w.Body)
	}
}

func TestABudgetIsCountedByWhatItIsSetTo(t *testing.T) {
	const otherStore, otherOrg = "/api/v1/organizations/o/environments/e/stores/s2", "/api/v1/organizations/o2/environments/e/stores/s"
	for by, want := range map[string][2]int{
		ratelimit.BudgetByEgress: {429, 429}, ratelimit.BudgetByOrganization: {429, 200}, ratelimit.BudgetByStore: {200, 200},
	} {
		g := newRig(t, budget(1, by, 0))
		if w := g.get("one", keyPath); w.Code != 200 {
			t.Fatalf("%s: %d", by, w.Code)
		}
		if got := [2]int{g.get("one", otherStore).Code, g.get("one", otherOrg).Code}; got != want {
			t.Errorf("by %s: another store and another organization got %v, want %v", by, got, want)
		}
	}
}

func TestARefusedWriteMarksNothing(t *testing.T) {
	g := newRig(t, budget(1, ratelimit.BudgetByEgress, 0))
	if w := g.get("one", keyPath); w.Code != 200 {
		t.Fatal(w.Code)
	}
	if w := g.do(request(t, "PUT "+keyPath, "Authorization: Bearer one", "", "{}")); codeOf(t, w) != "over-budget" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if w := g.get("one", keyPath); !strings.HasPrefix(w.Header().Get("Cache-Status"), "osgate; hit") {
		t.Errorf("after a write that never left: Cache-Status %q, want a hit", w.Header().Get("Cache-Status"))
	}
}

func TestTurnsOfQuotaAndBudgetShareOneWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, budget(1, ratelimit.BudgetByEgress, 1500*time.Millisecond), quota(1, 1))
		if w := g.get("one", keyPath); w.Code != 200 {
			t.Fatal(w.Code)
		}
		second := make(chan int)
		go func() { second <- g.get("two", keyPath).Code }() // gets the next turn of the budget, in a second
		synctest.Wait()
		start := time.Now()
		w := g.get("one", storePath) // waits a second for its quota, and would wait another for the budget
		if took := time.Since(start); codeOf(t, w) != "over-budget" || took != time.Second || w.Header().Get("Retry-After") != "1" {
			t.Errorf("%d %s after %v, want over-budget after a second", w.Code, w.Body, took)
		}
		if code := <-second; code != 200 {
			t.Errorf("whose turn it was got %d", code)
		}
	})
}

func TestWaitingForTheBudgetIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, budget(1, ratelimit.BudgetByEgress, 1500*time.Millisecond))
		for _, want := range []time.Duration{0, time.Second} {
			if w := g.get("one", storePath, "Cache-Control: no-cache"); w.Code != 200 || g.last().Waited != want {
				t.Errorf("%d, waited for %v, want %v", w.Code, g.last().Waited, want)
			}
		}
	})
}

func TestCountingUpstreamMakesHitsFree(t *testing.T) {
	g := newRig(t, quota(1, 1), func(o *Options) { o.CountUpstream = true })
	miss := g.get("one", keyPath)
	if miss.Code != 200 || miss.Header().Get("RateLimit") != `"client";r=0;t=1` || !g.last().Charged {
		t.Fatalf("a miss: %d %v", miss.Code, miss.Header())
	}
	for range 3 {
		if hit := g.get("one", keyPath); hit.Code != 200 || hit.Header().Get("RateLimit") != "" || g.last().Charged {
			t.Errorf("a hit: %d %v", hit.Code, hit.Header())
		}
	}
	refused := g.get("one", storePath)
	if refused.Code != 429 || codeOf(t, refused) != "over-quota" || refused.Header().Get("RateLimit") == "" {
		t.Errorf("a second miss: %d %s", refused.Code, refused.Body)
	}
	if len(g.sent) != 1 {
		t.Errorf("upstream got %d requests, want 1", len(g.sent))
	}
}

func TestUpstreams429PausesItsClientOnly(t *testing.T) {
	for name, tt := range map[string]struct {
		body  string
		other int // status of another client meanwhile
	}{
		"of the client":   {`{"statusMessage":"too many"}`, 200},
		"of our address":  {`{"statusMessage":"ip 3.16.69.227 can not perform more requests in this time window"}`, 429},
		"of another kind": {`{"statusMessage":"ip over its limit"}`, 200},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t, budget(100, ratelimit.BudgetByEgress, 0))
				refuse := true
				g.upstream = func(*http.Request) (*http.Response, error) {
					if refuse {
						return reply(429, tt.body, "Retry-After", "2"), nil
					}
					return reply(200, "{}"), nil
				}
				if w := g.get("one", keyPath); w.Code != 429 || w.Body.String() != tt.body {
					t.Fatalf("upstream's own 429: %d %s", w.Code, w.Body)
				}
				refuse = false
				<-time.After(1900 * time.Millisecond)
				w := g.get("one", keyPath)
				if w.Code != 429 || codeOf(t, w) != "over-quota" || w.Header().Get("Retry-After") != "1" || !strings.Contains(w.Body.String(), `["upstream"]`) {
					t.Errorf("within Retry-After: %d %v %s", w.Code, w.Header(), w.Body)
				}
				if w := g.get("two", keyPath); w.Code != tt.other {
					t.Errorf("another client: %d %s, want %d", w.Code, w.Body, tt.other)
				}
				<-time.After(100 * time.Millisecond)
				if w := g.get("one", keyPath); w.Code != 200 {
					t.Errorf("after Retry-After: %d %s", w.Code, w.Body)
				}
			})
		})
	}
}

func TestAnUpstream429IsPaidForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, budget(10, ratelimit.BudgetByEgress, time.Second), quota(10, 10))
		g.upstream = func(*http.Request) (*http.Response, error) {
			if len(g.sent) == 1 {
				return reply(429, "{}"), nil
			}
			return reply(200, "{}"), nil
		}
		w := g.get("one", keyPath)
		// Two units were taken; one of them became available during the wait for an
		// interval.
		if w.Code != 200 || w.Header().Get("X-RateLimit-Remaining") != "9" {
			t.Errorf("%d, %s left", w.Code, w.Header().Get("X-RateLimit-Remaining"))
		}
		result, _, err := g.Limiter.TakeWithin(t.Context(), ratelimit.BudgetKey(ratelimit.BudgetByEgress, "us", "o", "e", "us-east-1", "s"), g.Budget, 0)
		if err != nil || result.Remaining != 8 {
			t.Errorf("the budget has %d left after one more, want 8: %v", result.Remaining, err)
		}
	})
}

func FuzzNamesAddressFindsNoneWhereThereIsNone(f *testing.F) {
	f.Add("ip 3.16.69.227 can not perform more requests in this time window")
	f.Add(`{"statusMessage":"IP 2001:db8::1, no"}`)
	f.Add("ip")
	f.Fuzz(func(t *testing.T, text string) {
		if namesAddress([]byte(text)) && !strings.Contains(strings.ToLower(text), "ip") {
			t.Errorf("%q names an address", text)
		}
	})
}

func TestAShortBodyOfUnknownLengthIsSentAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		body string
		sent int
	}{"short": {"{}", 2}, "long": {strings.Repeat("x", keptBody+1), 1}} {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t, func(o *Options) { o.MaxWait = 2 * time.Second })
			g.upstream = func(r *http.Request) (*http.Response, error) {
				if text, _ := io.ReadAll(r.Body); string(text) != tt.body || r.ContentLength != -1 {
					t.Errorf("%s: upstream got %d bytes of %d announced", name, len(text), r.ContentLength)
				}
				if len(g.sent) == 1 {
					return reply(429, "{}"), nil
				}
				return reply(200, "{}"), nil
			}
			r := request(t, "PUT "+keyPath, "Authorization: Bearer one")
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(tt.body)), -1
			if g.do(r); len(g.sent) != tt.sent {
				t.Errorf("%s: sent %d times, want %d", name, len(g.sent), tt.sent)
			}
		})
	}
}

func TestARequestThatUpstreamGoesOnRefusingIsNotHeldForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, func(o *Options) { o.MaxWait = time.Second }, quota(1000, 1000))
		g.upstream = func(*http.Request) (*http.Response, error) {
			<-time.After(10 * time.Millisecond)
			return reply(429, "{}"), nil
		}
		began := time.Now()
		w := g.get("one", keyPath)
		if took := time.Since(began); w.Code != 429 || took > 1100*time.Millisecond || len(g.sent) > 15 {
			t.Errorf("%d after %v and %d attempts", w.Code, took, len(g.sent))
		}
	})
}
