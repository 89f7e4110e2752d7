package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"osgate/internal/redisconn/redistest"
)

// failingRedisTimeout is the REDIS_TIMEOUT of tests in which Redis fails. It is longer
// than the default, so that a busy machine does not look like a failure.
// internal/redisconn proves the bound of the default timeout, in fake time.
const failingRedisTimeout = time.Second

// traffic is a group of callers that send requests until end is called.
type traffic struct {
	*answerCounts
	answered []atomic.Int64 // by caller
	began    time.Time
	stop     chan struct{}
	all      sync.WaitGroup
}

// startTraffic lets each caller read a cached key, and write and read a key of its own,
// every 100 ms. Each read must return the last write.
func startTraffic(t *testing.T, callers ...client) *traffic {
	t.Helper()
	f := &traffic{answerCounts: &answerCounts{byStatus: map[int]int{}}, answered: make([]atomic.Int64, len(callers)), began: time.Now(), stop: make(chan struct{})}
	for i, c := range callers {
		f.all.Go(func() {
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			key, written := fmt.Sprintf("of-caller-%d", i), ""
			for n := 0; ; n++ {
				f.add(c.try(http.MethodGet, keyOne, ""))
				if n%2 == 0 {
					written = f.write(c, key, fmt.Sprint("value-", n))
				}
				f.readBack(t, c, key, written)
				f.answered[i].Add(1)
				select {
				case <-tick.C:
				case <-f.stop:
					return
				}
			}
		})
	}
	t.Cleanup(func() { f.finish() })
	return f
}

// write stores a value and returns it, or an empty text if the outcome of the write is
// unknown.
func (f *traffic) write(c client, key, value string) string {
	a, err := c.try(http.MethodPut, demoKeys+"/"+key, stringValue(key, value), "Content-Type: application/json")
	if err == nil && a.status == http.StatusCreated {
		a.status = http.StatusOK // so that there is one expected status
	}
	f.add(a, err)
	if err != nil || a.status != http.StatusOK {
		return ""
	}
	return value
}

// readBack reads a key and compares it with the written value.
func (f *traffic) readBack(t *testing.T, c client, key, written string) {
	t.Helper()
	a, err := c.try(http.MethodGet, demoKeys+"/"+key, "")
	f.add(a, err)
	if err == nil && a.status == http.StatusOK && written != "" && !strings.Contains(a.body, `"`+written+`"`) {
		t.Errorf("the value read is %s of key %s, want %s", a.body, key, written)
	}
}

// awaitRounds waits until each caller has completed more than n further rounds of two
// or three requests. No request of them may last as long as the failure of Redis.
func (f *traffic) awaitRounds(t *testing.T, n int64) {
	t.Helper()
	for i := range f.answered {
		before := f.answered[i].Load()
		eventually(t, fmt.Sprintf("%d rounds of caller %d", n, i), func() bool { return f.answered[i].Load() > before+n })
	}
}

// finish stops the callers and returns the responses that they received.
func (f *traffic) finish() *answerCounts {
	f.mu.Lock()
	select {
	case <-f.stop:
	default:
		close(f.stop)
	}
	f.mu.Unlock()
	f.all.Wait()
	f.elapsed = time.Since(f.began)
	return f.answerCounts
}

// linesNotOfExchanges returns the lines of the log that are not about exchanges.
func (g *gateway) linesNotOfExchanges() (lines []string) {
	for line := range strings.Lines(g.stderr.String()) {
		if !strings.Contains(line, `"msg":"exchange"`) {
			lines = append(lines, line)
		}
	}
	return lines
}

// redisOutages returns how many times the log reports that Redis is unavailable.
func (g *gateway) redisOutages() int {
	return strings.Count(strings.Join(g.linesNotOfExchanges(), ""), `"msg":"redis is unavailable`)
}

// checkLogLength fails the test if the log has more than one line about Redis for each
// change of its state, or more than ten lines that are about neither Redis nor
// exchanges. A busy machine may cause some changes of state.
func (g *gateway) checkLogLength(t *testing.T) {
	t.Helper()
	gone := map[string]bool{}
	others := 0
	for _, line := range g.linesNotOfExchanges() {
		change := false
		for said, lost := range map[string]bool{"redis is unavailable": true, "redis is available again": false, "counts cannot be written": true, "counts are written again": false} {
			if !strings.Contains(line, `"msg":"`+said) {
				continue
			}
			change = true
			what, _, _ := strings.Cut(said, " ")
			if gone[what] == lost {
				t.Errorf("the log reports twice in a row that %s:\n%s", said, strings.Join(g.linesNotOfExchanges(), ""))
				return
			}
			gone[what] = lost
		}
		if !change {
			others++
		}
	}
	if others > 10 {
		t.Errorf("%d lines of the log are about no exchange and no change:\n%s", others, strings.Join(g.linesNotOfExchanges(), ""))
	}
}

// awaitQuotaIn deletes all keys of this Redis, and waits until the gateway counts the
// caller's quota there again.
func (c client) awaitQuotaIn(t *testing.T, r *redistest.Server) {
	t.Helper()
	r.Do("FLUSHALL")
	eventually(t, "quotas in Redis again", func() bool {
		c.get(keyOne).is(http.StatusOK)
		return r.Do("KEYS", "*:rate:*") != "0"
	})
}

// TestRedisFailuresFailNoRequest makes Redis fail in each way except those of
// TestRequestsAreServedWithoutRedis, and ends the failure, while clients send requests
// within their quota. All requests are served.
func TestRedisFailuresFailNoRequest(t *testing.T) {
	t.Parallel()
	repeated := func(command ...string) func(*redistest.Server, *redistest.Wire) {
		return func(r *redistest.Server, _ *redistest.Wire) { r.Do(command...) }
	}
	for name, trouble := range map[string]struct {
		begin, end func(*redistest.Server, *redistest.Wire)
		degrades   bool // during the whole failure
	}{
		"slow": {
			begin:    func(_ *redistest.Server, w *redistest.Wire) { w.Lengthen(failingRedisTimeout) },
			end:      func(_ *redistest.Server, w *redistest.Wire) { w.Lengthen(0) },
			degrades: true,
		},
		"read-only": {
			begin:    repeated("REPLICAOF", "127.0.0.1", "1"), // no Redis listens there
			end:      repeated("REPLICAOF", "NO", "ONE"),
			degrades: true,
		},
		"black hole": {
			begin:    func(r *redistest.Server, _ *redistest.Wire) { r.Pause() },
			end:      func(r *redistest.Server, _ *redistest.Wire) { r.Resume() },
			degrades: true,
		},
		"restarted":     {begin: func(r *redistest.Server, _ *redistest.Wire) { r.Restart() }, end: repeated("PING")},
		"flushed":       {begin: repeated("FLUSHALL"), end: repeated("FLUSHALL")},
		"scripts lost":  {begin: repeated("SCRIPT", "FLUSH"), end: repeated("SCRIPT", "FLUSH")},
		"clients ended": {begin: repeated("CLIENT", "KILL", "TYPE", "normal"), end: repeated("CLIENT", "KILL", "TYPE", "normal")},
	} {
		for _, algorithm := range []string{"gcra", "window"} {
			t.Run(name+"/"+algorithm, func(t *testing.T) {
				t.Parallel()
				server := redistest.Start(t)
				wire := redistest.NewWire(t, server)
				s := newStack(t, false)
				g := s.gateway("REDIS_URL="+wire.URL(), "REDIS_TIMEOUT="+failingRedisTimeout.String(), "RATE=1000", "RATE_BURST=1000", "RATE_ALGORITHM="+algorithm)
				one, two := g.as("app-one"), g.as("app-two")
				f := startTraffic(t, one, two, one, two)
				f.awaitRounds(t, 2)
				trouble.begin(server, wire)
				if trouble.degrades {
					g.awaitDegraded(t, true)
				}
				f.awaitRounds(t, 12) // for more than a second
				trouble.end(server, wire)
				ended := time.Now()
				g.awaitDegraded(t, false)
				recovered := time.Since(ended)
				f.awaitRounds(t, 2)
				y := f.finish()
				y.checkStatuses(t, http.StatusOK)
				g.checkLogLength(t)
				one.awaitQuotaIn(t, server)
				t.Logf("%v; recovered after %v; %d lines", y, recovered.Round(time.Millisecond), len(g.linesNotOfExchanges()))
			})
		}
	}
}

// TestRedisOutageAdmitsOneMoreBurstAtEachEnd stops Redis under two gateways whose
// client is over its quota, and starts it again, empty. The client gets one more burst
// for the loss and one for the return.
func TestRedisOutageAdmitsOneMoreBurstAtEachEnd(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{"gcra", "window"} {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, true)
			gateways := s.gateways(2, "REPLICAS=2", "RATE_MAX_WAIT=0", "RATE_ALGORITHM="+algorithm)
			one := clientOfEach(gateways, "app-one")
			result := make(chan *distinctRequests, 1)
			go func() { result <- sendAtRate(5*time.Second, 50, one...) }()
			s.emulator.awaitRequest(isObjectStoreRequest)
			s.redis.kill()
			for _, g := range gateways {
				g.awaitDegraded(t, true)
			}
			s.redis.restart()
			for _, g := range gateways {
				g.awaitDegraded(t, false)
			}
			b := <-result
			admitted := float64(len(s.emulator.requests(isObjectStoreRequest)))
			outages := max(gateways[0].redisOutages(), gateways[1].redisOutages()) // one, and those that a busy machine causes
			if most := float64(10+20*outages) + 10*b.elapsed.Seconds() + 1; admitted > most {
				t.Errorf("osemu received %.0f requests, want at most %d bursts of 10 + 10 a second + 1 = %.1f; %v", admitted, 1+2*outages, most, b)
			}
			b.checkLowerBound(t, 10, int(admitted))
			b.checkStatuses(t, http.StatusNotFound, http.StatusTooManyRequests)
			t.Logf("%v", b)
		})
	}
}
