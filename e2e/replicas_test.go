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

// gateways starts this many replicas with the same settings.
func (s *stack) gateways(n int, settings ...string) []*gateway {
	s.t.Helper()
	all := make([]*gateway, n)
	for i := range all {
		all[i] = s.gateway(settings...)
	}
	return all
}

// everywhere is one client of all of these gateways, with one token, which each of them knows when this returns.
func everywhere(gateways []*gateway, app string) []caller {
	first := gateways[0].as(app)
	callers := make([]caller, len(gateways))
	now := time.Now()
	for i, g := range gateways {
		callers[i] = first.via(g)
		callers[i].get("/api/v1/organizations/org-root" + window(now.Add(-time.Hour), now, "1hour")).is(http.StatusOK) // takes who it is, and is not charged
	}
	return callers
}

// barrage is a tally of requests of which each was for a key of its own, so that osemu's log tells which of them it got.
type barrage struct {
	*tally
	first, last time.Time            // when the first was answered, and the last sent
	sent        map[string]time.Time // by target
}

// paced sends this many requests a second for this long, whether those before are answered or not, by turns through these callers.
func paced(duration time.Duration, rate int, callers ...caller) *barrage {
	n := int(duration.Seconds() * float64(rate))
	return volley(n, time.Second/time.Duration(rate), callers...)
}

// volley sends n requests, one each interval, by turns through these callers.
func volley(n int, interval time.Duration, callers ...caller) *barrage {
	b := &barrage{tally: &tally{byStatus: map[int]int{}}, sent: map[string]time.Time{}}
	began := time.Now()
	var all sync.WaitGroup
	for i := range n {
		<-time.After(time.Until(began.Add(time.Duration(i) * interval)))
		target := fmt.Sprintf("%s/of-its-own-%d", demoKeys, i)
		b.last = time.Now()
		b.sent[target] = b.last
		all.Go(func() {
			b.add(callers[i%len(callers)].try(http.MethodGet, target, ""))
			b.mu.Lock()
			defer b.mu.Unlock()
			if now := time.Now(); b.first.IsZero() {
				b.first = now
			}
		})
	}
	all.Wait()
	b.elapsed = time.Since(began)
	return b
}

// only fails the test if there was another answer than these, or none at all to some request.
func (y *tally) only(t *testing.T, statuses ...int) {
	t.Helper()
	for status := range y.byStatus {
		if !slices.Contains(statuses, status) {
			t.Errorf("%v; want %v alone", y, statuses)
			return
		}
	}
	if len(y.failures) > 0 {
		t.Errorf("%v; the first failure: %v", y, y.failures[0])
	}
}

// evenly fails the test unless osemu saw what a bucket of this burst lets through at 10 a second: never more, whatever the machine is busy with, since
// all admissions lie between the first request and the last answer. How much less it may be is the machine's to say: a request that comes late is not
// made up for beyond the burst.
func (b *barrage) evenly(t *testing.T, burst, admitted int) {
	t.Helper()
	if most := float64(burst) + 10*b.elapsed.Seconds() + 1; float64(admitted) > most {
		t.Errorf("osemu saw %d requests, want at most %d + 10 a second + 1 = %.1f; %v", admitted, burst, most, b)
	}
	least := 0.7 * (float64(burst) + 10*b.last.Sub(b.first).Seconds() - 1)
	if burst == 1 {
		least *= 0.8 // nothing comes 100 ms after the one before to the microsecond: of requests 20 ms apart each sixth passes
	}
	if float64(admitted) < least {
		t.Errorf("osemu saw %d requests, want at least %.1f of a client that never rests; %v", admitted, least, b)
	}
	if b.byStatus[http.StatusNotFound] != admitted || b.byStatus[http.StatusTooManyRequests] == 0 {
		t.Errorf("%v; want 404 for each of the %d that osemu saw, and 429 for the rest", b, admitted)
	}
	b.only(t, http.StatusNotFound, http.StatusTooManyRequests)
}

// eachAdmitted fails the test if one of the gateways let nothing through.
func eachAdmitted(t *testing.T, gateways []*gateway) {
	t.Helper()
	for i, g := range gateways {
		if len(g.access(http.StatusNotFound)) == 0 {
			t.Errorf("gateway %d of %d admitted nothing", i+1, len(gateways))
		}
	}
}

// TestOneQuotaOverAllReplicas sends one client's requests through several gateways on one Redis, which admit as one with embedded stores does.
func TestOneQuotaOverAllReplicas(t *testing.T) {
	t.Parallel()
	for _, replicas := range []int{1, 2, 3} {
		for _, burst := range []int{1, 10} {
			t.Run(fmt.Sprintf("replicas=%d,burst=%d", replicas, burst), func(t *testing.T) {
				t.Parallel()
				oneQuota(t, replicas, burst)
			})
		}
	}
}

// restless is how long one client sends without rest.
const restless = 10 * time.Second

func oneQuota(t *testing.T, replicas, burst int) {
	t.Helper()
	s := newStack(t, replicas > 1)
	gateways := s.gateways(replicas, "RATE_MAX_WAIT=0", fmt.Sprintf("RATE_BURST=%d", burst))
	b := paced(restless, 50, everywhere(gateways, "app-one")...)
	b.evenly(t, burst, len(s.emulator.requests(toObjectStore)))
	eachAdmitted(t, gateways)
}

// TestNeverElevenInASlidingSecond is the window's promise, of one gateway with embedded stores and of several on one Redis.
func TestNeverElevenInASlidingSecond(t *testing.T) {
	t.Parallel()
	for _, replicas := range []int{1, 2, 3} {
		t.Run(fmt.Sprintf("replicas=%d", replicas), func(t *testing.T) {
			t.Parallel()
			neverEleven(t, replicas)
		})
	}
}

func neverEleven(t *testing.T, replicas int) {
	t.Helper()
	s := newStack(t, replicas > 1)
	gateways := s.gateways(replicas, "RATE_ALGORITHM=window", "RATE_MAX_WAIT=0")
	b := paced(restless, 50, everywhere(gateways, "app-one")...)
	admitted := s.emulator.requests(toObjectStore)
	b.neverWithin(t, time.Second, 11, admitted)
	if least := 10 * b.last.Sub(b.first).Seconds() * 0.7; float64(len(admitted)) < least {
		t.Errorf("osemu saw %d requests, want at least %.0f of a client that never rests; %v", len(admitted), least, b)
	}
	b.only(t, http.StatusNotFound, http.StatusTooManyRequests)
	eachAdmitted(t, gateways)
}

// neverWithin fails the test if n of the requests that osemu saw were admitted within less than a period. When a gateway decided nobody saw, but it was
// after the client had sent the request and before it was with osemu. So n of them, decided within less than a period of each other, show only if the last
// came to osemu less than a period after the first was sent; and where that shows, it is so.
func (b *barrage) neverWithin(t *testing.T, period time.Duration, n int, admitted []logged) {
	t.Helper()
	const drift = 2 * time.Millisecond // of the clock that the log is written by, as it is set right
	slices.SortFunc(admitted, func(x, y logged) int { return x.Time.Compare(y.Time) })
	for i := range max(0, len(admitted)-n+1) {
		some := admitted[i : i+n]
		began := b.sent[some[0].Target]
		for _, r := range some {
			if at := b.sent[r.Target]; at.Before(began) {
				began = at
			}
		}
		if span := some[n-1].Time.Sub(began.Round(0)); span < period-drift {
			t.Errorf("%d requests from %s on were admitted within %v, want no less than %v for so many; %v", n, some[0].Target, span, period, b)
			return
		}
	}
}

// TestAWindowAdmitsAllAtOnce sends a whole quota in one go, through two gateways, which is served at once, and one more, which is not.
func TestAWindowAdmitsAllAtOnce(t *testing.T) {
	t.Parallel()
	s := newStack(t, true)
	one := everywhere(s.gateways(2, "RATE_ALGORITHM=window", "RATE_PERIOD=10s", "RATE_MAX_WAIT=0"), "app-one")
	volley(10, 0, one...).only(t, http.StatusNotFound)
	for _, c := range one {
		c.get(keyOne).refused(http.StatusTooManyRequests, "over-quota")
	}
	if n := len(s.emulator.requests(toObjectStore)); n != 10 {
		t.Errorf("osemu saw %d requests, want 10", n)
	}
}

// TestFiftyAtOnceAreServedInTime lets what comes at once wait for its turns, over two gateways.
func TestFiftyAtOnceAreServedInTime(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{"gcra", "window"} {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, true)
			one := everywhere(s.gateways(2, "RATE_ALGORITHM="+algorithm, "RATE_MAX_WAIT=8s"), "app-one")
			b := volley(50, 0, one...)
			b.only(t, http.StatusNotFound)
			admitted := s.emulator.requests(toObjectStore)
			if len(admitted) != 50 {
				t.Errorf("osemu saw %d requests, want 50; %v", len(admitted), b)
			}
			if b.elapsed < 3900*time.Millisecond || b.elapsed > 9*time.Second { // 10 at once, 40 at 10 a second
				t.Errorf("%v; want 4 s", b)
			}
			if algorithm == "window" {
				b.tooSoon(t, admitted)
			}
		})
	}
}

// tooSoon fails the test if osemu got what was sent at one instant faster than 10 in a second.
func (b *barrage) tooSoon(t *testing.T, admitted []logged) {
	t.Helper()
	slices.SortFunc(admitted, func(x, y logged) int { return x.Time.Compare(y.Time) })
	for i, r := range admitted {
		if least := time.Duration(i/10) * time.Second; r.Time.Sub(b.sent[r.Target].Round(0)) < least-100*time.Millisecond {
			t.Errorf("request %d came to osemu %v after it was sent, want %v", i+1, r.Time.Sub(b.sent[r.Target].Round(0)), least)
		}
	}
}

// TestReplicasWaitForOneQueue is the loop as fast as it can be, through two gateways at once: turns are waited for, and none is refused.
func TestReplicasWaitForOneQueue(t *testing.T) {
	t.Parallel()
	s := newStack(t, true)
	one := everywhere(s.gateways(2), "app-one")
	y := hammer(3*time.Second, 0, demoKeys+"/absent", one...)
	y.only(t, http.StatusNotFound)
	if n := float64(y.byStatus[http.StatusNotFound]); n < 20 || n > 11+10*y.elapsed.Seconds() {
		t.Errorf("%v; want the burst of 10 and then 10 a second", y)
	}
	for _, r := range s.emulator.requests(toObjectStore) {
		if !strings.HasSuffix(r.Target, "/absent") {
			t.Errorf("osemu saw %s", r.Target)
		}
	}
}
