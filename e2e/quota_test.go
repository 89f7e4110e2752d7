package e2e

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// answerCounts counts the responses that a group of callers received.
type answerCounts struct {
	mu       sync.Mutex
	byStatus map[int]int           // guarded by mu
	slowest  map[int]time.Duration // guarded by mu; by status
	failures []error               // guarded by mu: of requests without a response
	longest  time.Duration         // guarded by mu
	began    time.Time             // when the first request was sent
	elapsed  time.Duration         // from the first request's start to the last answer's end
}

func (y *answerCounts) add(a *answer, err error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if err != nil {
		y.failures = append(y.failures, err)
		return
	}
	y.byStatus[a.status]++
	y.longest = max(y.longest, a.took)
	if y.slowest == nil {
		y.slowest = map[int]time.Duration{}
	}
	y.slowest[a.status] = max(y.slowest[a.status], a.took)
}

func (y *answerCounts) String() string {
	return fmt.Sprintf("answers by status %v, %d failures, longest %v, in %v", y.byStatus, len(y.failures), y.longest, y.elapsed)
}

// sendFor lets each caller send one request per interval for this duration. An interval
// of 0 means that the next request follows the response at once.
func sendFor(duration, interval time.Duration, path string, callers ...client) *answerCounts {
	return sendWhile(func(y *answerCounts) bool { return time.Since(y.began) < duration }, interval, path, callers...)
}

// sendUntilCounted lets each caller send one request after the other for three seconds,
// and longer on a slow machine: until one status has been counted so many times, or
// patience is over.
func sendUntilCounted(answers int, path string, callers ...client) *answerCounts {
	return sendWhile(func(y *answerCounts) bool {
		return time.Since(y.began) < 3*time.Second || y.mostFrequent() < answers && time.Since(y.began) < testTimeout
	}, 0, path, callers...)
}

// sendWhile lets each caller send one request per interval while goesOn returns true.
// An interval of 0 means that the next request follows the response at once.
func sendWhile(goesOn func(*answerCounts) bool, interval time.Duration, path string, callers ...client) *answerCounts {
	y := &answerCounts{byStatus: map[int]int{}, began: time.Now()}
	var all sync.WaitGroup
	for _, c := range callers {
		all.Go(func() {
			var tick <-chan time.Time
			if interval > 0 {
				ticker := time.NewTicker(interval)
				defer ticker.Stop()
				tick = ticker.C
			}
			for goesOn(y) {
				y.add(c.try(http.MethodGet, path, ""))
				if tick != nil {
					<-tick
				}
			}
		})
	}
	all.Wait()
	y.elapsed = time.Since(y.began)
	return y
}

// count returns the number of responses with this status so far.
func (y *answerCounts) count(status int) int {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.byStatus[status]
}

// mostFrequent returns the number of responses with the most frequent status.
func (y *answerCounts) mostFrequent() (n int) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, answers := range y.byStatus {
		n = max(n, answers)
	}
	return n
}

// checkTenPerSecond fails the test unless this status was counted 20 times or more, and
// at most as often as a burst of 10 and then 10 per second allow.
func (y *answerCounts) checkTenPerSecond(t *testing.T, status int) {
	t.Helper()
	if n := float64(y.byStatus[status]); n < 20 || n > 11+10*y.elapsed.Seconds() {
		t.Errorf("%v; want the burst of 10 and then 10 a second", y)
	}
}

// TestClientsHaveSeparateQuotas uses all of the quota of one client. The quota of
// another client does not change.
func TestClientsHaveSeparateQuotas(t *testing.T) {
	t.Parallel()
	withAndWithoutRedis(t, func(t *testing.T, s *stack) {
		g := s.gateway("RATE=5", "RATE_PERIOD=1h", "RATE_BURST=5", "RATE_MAX_WAIT=0")
		one, two := g.as("app-one"), g.as("app-two")
		for range 5 {
			one.get(keyOne).is(http.StatusOK)
		}
		one.get(keyOne).checkRefusal(http.StatusTooManyRequests, "over-quota")
		if got := two.get(keyOne).is(http.StatusOK).header.Get("X-RateLimit-Remaining"); got != "4" {
			t.Errorf("the second client's X-RateLimit-Remaining is %s, want 4", got)
		}
		again := g.as("app-one") // another token of the same client has the same quota
		again.get(keyOne).checkRefusal(http.StatusTooManyRequests, "over-quota")
	})
}

// checkQuota checks that the response has the quota in each documented form, and
// returns the remaining units.
func (a *answer) checkQuota(limit, window int) (remaining int) {
	a.t.Helper()
	if got, form := a.header.Get("RateLimit-Policy"), regexp.MustCompile(fmt.Sprintf(`^"[^"]+";q=%d;w=%d$`, limit, window)); !form.MatchString(got) {
		a.t.Errorf("%s: %d, RateLimit-Policy %q, want the form %v", a.request, a.status, got, form)
	}
	state := regexp.MustCompile(`^"[^"]+";r=(\d+);t=(\d+)$`).FindStringSubmatch(a.header.Get("RateLimit"))
	if state == nil {
		a.t.Fatalf(`%s: %d, RateLimit %q, want the form "name";r=N;t=N`, a.request, a.status, a.header.Get("RateLimit"))
	}
	if got := a.header.Get("X-RateLimit-Limit"); got != strconv.Itoa(limit) {
		a.t.Errorf("%s: X-RateLimit-Limit %q, want %d", a.request, got, limit)
	}
	if got := a.header.Get("X-RateLimit-Remaining"); got != state[1] {
		a.t.Errorf("%s: X-RateLimit-Remaining is %q, but RateLimit is %q", a.request, got, a.header.Get("RateLimit"))
	}
	a.checkQuotaReset(window)
	remaining, _ = strconv.Atoi(state[1]) // digits, by the expression
	return remaining
}

// checkQuotaReset checks that X-RateLimit-Reset is between the Date of the response and
// this number of seconds later, with a tolerance of one second.
// proxy.TestResponseHeadersHaveTheRemainingQuota proves the exact value, in fake time.
func (a *answer) checkQuotaReset(within int) {
	a.t.Helper()
	date, dateErr := http.ParseTime(a.header.Get("Date"))
	reset, err := strconv.ParseInt(a.header.Get("X-RateLimit-Reset"), 10, 64)
	if until := reset - date.Unix(); dateErr != nil || err != nil || until < -1 || until > int64(within)+1 {
		a.t.Errorf("%s: X-RateLimit-Reset is %q in an answer of %q, want epoch seconds from then to %d later",
			a.request, a.header.Get("X-RateLimit-Reset"), a.header.Get("Date"), within)
	}
}

// TestEveryChargedAnswerShowsTheQuota reads the headers of a miss, a hit, an error of
// upstream and a 429.
func TestEveryChargedAnswerShowsTheQuota(t *testing.T) {
	t.Parallel()
	withAndWithoutRedis(t, func(t *testing.T, s *stack) {
		one := s.gateway("RATE_PERIOD=10s", "RATE_MAX_WAIT=0").as("app-one")
		first := one.get(keyOne).is(http.StatusOK)
		if got := first.checkQuota(10, 10); got != 9 {
			t.Errorf("first answer: %d left, want 9", got)
		}
		second := one.get(keyOne).is(http.StatusOK)
		second.checkQuota(10, 10)
		if !strings.Contains(second.header.Get("Cache-Status"), "hit") {
			t.Errorf("second answer: Cache-Status is %q, want a hit, with the current quota", second.header.Get("Cache-Status"))
		}
		one.get(demoKeys+"/absent").is(http.StatusNotFound).checkQuota(10, 10)
		var over *answer
		for range 100 { // at most 10 + 1 per second pass
			if over = one.get(keyOne); over.status == http.StatusTooManyRequests {
				break
			}
		}
		over.checkRefusal(http.StatusTooManyRequests, "over-quota")
		if got := over.checkQuota(10, 10); got != 0 {
			t.Errorf("429: %d left, want 0", got)
		}
		if after, err := strconv.Atoi(over.header.Get("Retry-After")); err != nil || after < 1 || after > 2 { // one per second
			t.Errorf("429: Retry-After is %q, want about 1", over.header.Get("Retry-After"))
		}
	})
}

// TestOverridesGiveAClientItsOwnQuota gives one client 100 requests per second, as the
// vendor's premium add-on does.
func TestOverridesGiveAClientItsOwnQuota(t *testing.T) {
	t.Parallel()
	g := newStack(t, false).gateway("RATE_OVERRIDES=app-two=100")
	g.as("app-two").get(keyOne).is(http.StatusOK).checkQuota(100, 1)
	g.as("app-one").get(keyOne).is(http.StatusOK).checkQuota(10, 1)
	off := newStack(t, false).gateway("RATE=0").as("app-one").get(keyOne).is(http.StatusOK)
	for _, name := range []string{"RateLimit", "RateLimit-Policy", "X-RateLimit-Limit"} {
		if got := off.header.Get(name); got != "" {
			t.Errorf("RATE=0: %s is %q, want none", name, got)
		}
	}
}

// TestClientInALoopGetsNo429: a client sends one request after the other with the
// default settings. Each waits for its turn.
func TestClientInALoopGetsNo429(t *testing.T) {
	t.Parallel()
	withAndWithoutRedis(t, func(t *testing.T, s *stack) {
		one := s.gateway("CACHE_KEY_TTL=0").as("app-one")
		y := sendUntilCounted(20, keyOne, one)
		if len(y.byStatus) != 1 || len(y.failures) > 0 {
			t.Errorf("%v; want 200 alone", y)
		}
		y.checkTenPerSecond(t, http.StatusOK)
	})
}

// TestOnlyObjectStoreOperationsAreCharged sends token requests, me, statistics and
// requests that are refused early. They use no quota.
func TestOnlyObjectStoreOperationsAreCharged(t *testing.T) {
	t.Parallel()
	withAndWithoutRedis(t, func(t *testing.T, s *stack) {
		one := s.gateway("RATE=2", "RATE_PERIOD=1h", "RATE_BURST=2", "RATE_MAX_WAIT=0").as("app-one")
		now := time.Now()
		for range 3 {
			for _, a := range []*answer{
				one.get("/accounts/api/me").is(http.StatusOK),
				one.get("/api/v1/organizations/org-root" + statsQuery(now.Add(-time.Hour), now, "1hour")).is(http.StatusOK),
				one.get("/nothing").is(http.StatusNotFound),
				one.get(demoKeys + "/%252e").is(http.StatusBadRequest),
			} {
				if got := a.header.Get("RateLimit"); got != "" {
					t.Errorf("%s: RateLimit is %q although the request is not charged", a.request, got)
				}
			}
		}
		one.get(keyOne).is(http.StatusOK)
		one.get(keyOne).is(http.StatusOK)
		one.get(keyOne).checkRefusal(http.StatusTooManyRequests, "over-quota")
		one.get("/accounts/api/me").is(http.StatusOK)
	})
}
