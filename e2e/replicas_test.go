package e2e

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// gateways starts n replicas with the same settings.
func (s *stack) gateways(n int, settings ...string) []*gateway {
	s.t.Helper()
	all := make([]*gateway, n)
	for i := range all {
		all[i] = s.gateway(settings...)
	}
	return all
}

// clientOfEach returns one client of each of these gateways, all with the same token.
// Each gateway has identified the token when everywhere returns.
func clientOfEach(gateways []*gateway, app string) []client {
	first := gateways[0].as(app)
	callers := make([]client, len(gateways))
	now := time.Now()
	for i, g := range gateways {
		callers[i] = first.via(g)
		callers[i].get("/api/v1/organizations/org-root" + statsQuery(now.Add(-time.Hour), now, "1hour")).is(http.StatusOK) // requests the token's identity, and is not charged
	}
	return callers
}

// distinctRequests is a tally of requests that each have a key of their own. osemu's
// log therefore shows which of them it received.
type distinctRequests struct {
	*answerCounts
	sent   map[string]time.Time // by target
	tenths map[int]*tenthCounts // by the tenth of a second in which a request was sent, counted from the first
}

// tenthCounts counts the requests that were sent in one tenth of a second.
type tenthCounts struct{ sent, prompt int } // prompt: answered within a tenth of a second, or half of one

// sendAtRate sends this many requests per second for this duration through the callers,
// without waiting for responses.
func sendAtRate(duration time.Duration, rate int, callers ...client) *distinctRequests {
	n := int(duration.Seconds() * float64(rate))
	return sendDistinct(n, time.Second/time.Duration(rate), callers...)
}

// sendDistinct sends n requests, one per interval, through the callers.
func sendDistinct(n int, interval time.Duration, callers ...client) *distinctRequests {
	b := &distinctRequests{answerCounts: &answerCounts{byStatus: map[int]int{}}, sent: map[string]time.Time{}, tenths: map[int]*tenthCounts{}}
	began := time.Now()
	var all sync.WaitGroup
	for i := range n {
		<-time.After(time.Until(began.Add(time.Duration(i) * interval)))
		target := fmt.Sprintf("%s/of-its-own-%d", demoKeys, i)
		sent := time.Now()
		b.sent[target] = sent
		caller := callers[(i+rand.IntN(len(callers)))%len(callers)] // not by turns, which would be in step with the quota
		all.Go(func() {
			b.add(caller.try(http.MethodGet, target, ""))
			b.recordTiming(sent.Sub(began), time.Since(began))
		})
	}
	all.Wait()
	b.elapsed = time.Since(began)
	return b
}

// recordTiming records when a request was sent and answered.
func (b *distinctRequests) recordTiming(sent, answered time.Duration) {
	const tenth = time.Second / 10
	b.mu.Lock()
	defer b.mu.Unlock()
	n := int(sent / tenth)
	if b.tenths[n] == nil {
		b.tenths[n] = &tenthCounts{}
	}
	b.tenths[n].sent++
	if answered < time.Duration(n+1)*tenth+tenth/2 {
		b.tenths[n].prompt++
	}
}

// promptTenths returns the number of tenths of a second in which the machine was fast
// enough: three or more requests were sent, and all were answered promptly.
func (b *distinctRequests) promptTenths() (n int) {
	for _, p := range b.tenths {
		if p.sent >= 3 && p.sent == p.prompt {
			n++
		}
	}
	return n
}

// checkLowerBound fails the test unless osemu received most of the requests that a
// quota of this many per second admits in the calm time.
func (b *distinctRequests) checkLowerBound(t *testing.T, rate float64, admitted int) {
	t.Helper()
	if least := 0.7 * rate * float64(b.promptTenths()) / 10; float64(admitted) < least {
		t.Errorf("osemu received %d requests, want at least %.1f, in %d calm tenths of a second; %v", admitted, least, b.promptTenths(), b)
	}
}

// checkStatuses fails the test if a response has another status than these, or a
// request has no response.
func (y *answerCounts) checkStatuses(t *testing.T, statuses ...int) {
	t.Helper()
	for status := range y.byStatus {
		if !slices.Contains(statuses, status) {
			t.Errorf("%v; want only %v", y, statuses)
			return
		}
	}
	if len(y.failures) > 0 {
		t.Errorf("%v; the first failure: %v", y, y.failures[0])
	}
}

// checkRate fails the test unless osemu received as many requests as a bucket of this
// burst admits at 10 per second. The upper bound holds on any machine, because all
// admissions are between the first request and the last response. The lower bound
// counts only the calm time.
func (b *distinctRequests) checkRate(t *testing.T, burst, admitted int) {
	t.Helper()
	if most := float64(burst) + 10*b.elapsed.Seconds() + 1; float64(admitted) > most {
		t.Errorf("osemu received %d requests, want at most %d + 10 a second + 1 = %.1f; %v", admitted, burst, most, b)
	}
	rate := 10.0
	if burst == 1 {
		rate *= 0.8 // no request arrives exactly 100 ms after the one before: of requests 20 ms apart each sixth passes
	}
	b.checkLowerBound(t, rate, admitted)
	if b.byStatus[http.StatusNotFound] != admitted {
		t.Errorf("%v; want 404 for each of the %d that osemu received, and 429 for the rest", b, admitted)
	}
	b.checkStatuses(t, http.StatusNotFound, http.StatusTooManyRequests)
}

// checkEachAdmitted fails the test if one of the gateways admitted no request.
func checkEachAdmitted(t *testing.T, gateways []*gateway) {
	t.Helper()
	for i, g := range gateways {
		if len(g.accessLines(http.StatusNotFound)) == 0 {
			t.Errorf("gateway %d of %d admitted no request", i+1, len(gateways))
		}
	}
}

// TestOneQuotaOverAllReplicas sends the requests of one client through several gateways
// with one Redis. Together they admit as many as one gateway with embedded stores.
func TestOneQuotaOverAllReplicas(t *testing.T) {
	t.Parallel()
	for _, replicas := range []int{1, 2, 3} {
		for _, burst := range []int{1, 10} {
			t.Run(fmt.Sprintf("replicas=%d,burst=%d", replicas, burst), func(t *testing.T) {
				t.Parallel()
				checkOneQuota(t, replicas, burst)
			})
		}
	}
}

// loadTime is the duration for which a client sends requests without a pause.
const loadTime = 10 * time.Second

func checkOneQuota(t *testing.T, replicas, burst int) {
	t.Helper()
	s := newStack(t, replicas > 1)
	gateways := s.gateways(replicas, "RATE_MAX_WAIT=0", fmt.Sprintf("RATE_BURST=%d", burst))
	b := sendAtRate(loadTime, 50, clientOfEach(gateways, "app-one")...)
	b.checkRate(t, burst, len(s.emulator.requests(isObjectStoreRequest)))
	checkEachAdmitted(t, gateways)
}

// TestWindowAdmitsTenInAnySecondAtMost checks the promise of the window: for one
// gateway with embedded stores, and for several with one Redis.
func TestWindowAdmitsTenInAnySecondAtMost(t *testing.T) {
	t.Parallel()
	for _, replicas := range []int{1, 2, 3} {
		t.Run(fmt.Sprintf("replicas=%d", replicas), func(t *testing.T) {
			t.Parallel()
			checkNeverEleven(t, replicas)
		})
	}
}

func checkNeverEleven(t *testing.T, replicas int) {
	t.Helper()
	s := newStack(t, replicas > 1)
	gateways := s.gateways(replicas, "RATE_ALGORITHM=window", "RATE_MAX_WAIT=0")
	b := sendAtRate(loadTime, 50, clientOfEach(gateways, "app-one")...)
	admitted := s.emulator.requests(isObjectStoreRequest)
	b.checkNeverWithin(t, time.Second, 11, admitted)
	b.checkLowerBound(t, 10, len(admitted))
	b.checkStatuses(t, http.StatusNotFound, http.StatusTooManyRequests)
	checkEachAdmitted(t, gateways)
}

// checkNeverWithin fails the test if n requests that osemu received were admitted
// within less than a period. The instant of an admission is not visible: it is between
// the sending of the request and its arrival at osemu. So the test fails only if the
// last of n requests reached osemu less than a period after the first of them was sent.
// This proves that the period was too short.
func (b *distinctRequests) checkNeverWithin(t *testing.T, period time.Duration, n int, admitted []receivedRequest) {
	t.Helper()
	const drift = 2 * time.Millisecond // corrections of the clock that the log's times are from
	slices.SortFunc(admitted, func(x, y receivedRequest) int { return x.Time.Compare(y.Time) })
	for i := range max(0, len(admitted)-n+1) {
		some := admitted[i : i+n]
		began := b.sent[some[0].Target]
		for _, r := range some {
			if at := b.sent[r.Target]; at.Before(began) {
				began = at
			}
		}
		if span := some[n-1].Time.Sub(began.Round(0)); span < period-drift {
			t.Errorf("%d requests from %s on were admitted within %v, want at least %v for this number; %v", n, some[0].Target, span, period, b)
			return
		}
	}
}

// TestWindowAdmitsAWholeQuotaAtOnce sends a whole quota at once through two gateways,
// which is served at once, and then one more request, which is not.
func TestWindowAdmitsAWholeQuotaAtOnce(t *testing.T) {
	t.Parallel()
	s := newStack(t, true)
	one := clientOfEach(s.gateways(2, "RATE_ALGORITHM=window", "RATE_PERIOD=10s", "RATE_MAX_WAIT=0"), "app-one")
	sendDistinct(10, 0, one...).checkStatuses(t, http.StatusNotFound)
	for _, c := range one {
		c.get(keyOne).checkRefusal(http.StatusTooManyRequests, "over-quota")
	}
	if n := len(s.emulator.requests(isObjectStoreRequest)); n != 10 {
		t.Errorf("osemu received %d requests, want 10", n)
	}
}

// TestFiftyRequestsAtOnceAreServedAtTheirTurns sends fifty requests at once through two
// gateways. All wait for their turns and are served, none before its turn.
// ratelimit.TestReplicasOfADistantLimiterServeAllInTime proves in fake time that none
// is served late.
func TestFiftyRequestsAtOnceAreServedAtTheirTurns(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{"gcra", "window"} {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, true)
			one := clientOfEach(s.gateways(2, "RATE_ALGORITHM="+algorithm, "RATE_MAX_WAIT=60s"), "app-one")
			b := sendDistinct(50, 0, one...)
			b.checkStatuses(t, http.StatusNotFound)
			admitted := s.emulator.requests(isObjectStoreRequest)
			if len(admitted) != 50 {
				t.Errorf("osemu received %d requests, want 50; %v", len(admitted), b)
			}
			if b.elapsed < 3900*time.Millisecond { // 10 at once, 40 at 10 per second
				t.Errorf("%v; want 4 s", b)
			}
			if algorithm == "window" {
				b.checkNotTooSoon(t, admitted)
			}
		})
	}
}

// checkNotTooSoon fails the test if osemu received more than 10 requests per second of
// those that were sent at once, counted from the sending of the first.
func (b *distinctRequests) checkNotTooSoon(t *testing.T, admitted []receivedRequest) {
	t.Helper()
	slices.SortFunc(admitted, func(x, y receivedRequest) int { return x.Time.Compare(y.Time) })
	began := slices.MinFunc(slices.Collect(maps.Values(b.sent)), time.Time.Compare).Round(0)
	for i, r := range admitted {
		if least := time.Duration(i/10) * time.Second; r.Time.Sub(began) < least-100*time.Millisecond {
			t.Errorf("request %d reached osemu %v after the first was sent, want %v", i+1, r.Time.Sub(began), least)
		}
	}
}

// TestReplicasShareOneQueue: a client sends one request after the other through two
// gateways at once. Turns are those of one quota, and no request is refused.
func TestReplicasShareOneQueue(t *testing.T) {
	t.Parallel()
	s := newStack(t, true)
	one := clientOfEach(s.gateways(2, "RATE_MAX_WAIT=60s"), "app-one")
	y := sendUntilCounted(20, demoKeys+"/absent", one...)
	y.checkStatuses(t, http.StatusNotFound)
	y.checkTenPerSecond(t, http.StatusNotFound)
	for _, r := range s.emulator.requests(isObjectStoreRequest) {
		if !strings.HasSuffix(r.Target, "/absent") {
			t.Errorf("osemu received %s", r.Target)
		}
	}
}
