package ratelimit_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"osgate/internal/redisconn"
	"osgate/internal/redisconn/redistest"
	"osgate/ratelimit"
)

// calls returns how often Redis has run the limiter's script.
func calls(t *testing.T, s *redistest.Server) int {
	t.Helper()
	sum := 0
	for line := range strings.Lines(s.Do("INFO", "commandstats")) {
		var n int
		for _, command := range []string{"eval", "evalsha"} {
			if _, err := fmt.Sscanf(line, "cmdstat_"+command+":calls=%d,", &n); err == nil {
				sum += n
			}
		}
	}
	return sum
}

// both contains a quota for each algorithm.
func both(q ratelimit.Quota) map[string]ratelimit.Quota {
	gcra, window := q, q
	gcra.Algorithm, window.Algorithm = ratelimit.AlgorithmGCRA, ratelimit.AlgorithmWindow
	return map[string]ratelimit.Quota{"gcra": gcra, "window": window}
}

func TestEachDecisionIsOneCallAndNoneWhileOverQuotaIsKnown(t *testing.T) {
	t.Parallel()
	for name, q := range both(ratelimit.Quota{Rate: 10, Period: time.Hour, Burst: 10}) {
		t.Run(name, func(t *testing.T) {
			s := redistest.Start(t)
			l, key := ratelimit.NewRedis(openRedis(t, s)), freshKey()
			take(t, l, freshKey(), q) // loads the script
			before := calls(t, s)
			for n := 1; n <= q.Rate; n++ {
				take(t, l, key, q)
				if got := calls(t, s) - before; got != n {
					t.Fatalf("%d calls for %d decisions", got, n)
				}
			}
			q.Period, key = 2*time.Second, freshKey()
			exhaust(t, l, key, q)
			before = calls(t, s)
			refused, start := 0, time.Now()
			for !take(t, l, key, q).Allowed && time.Since(start) < patience {
				refused++
			}
			// One call for each unit that became available meanwhile, and one more if
			// that unit was not the last.
			most := 11 + int(2*10*time.Since(start)/q.Period)
			if got := calls(t, s) - before; got < 1 || got > most || refused < 10 {
				t.Errorf("%d refusals within %v cost Redis %d calls, want at most %d", refused, time.Since(start), got, most)
			}
		})
	}
}

func TestMemoryOfOneQuotaDoesNotRefuseAnother(t *testing.T) {
	for name, q := range both(ratelimit.Quota{Rate: 1, Period: time.Hour, Burst: 1}) {
		t.Run(name, func(t *testing.T) {
			l, key := ratelimit.NewRedis(openRedis(t, redistest.Start(t))), freshKey()
			take(t, l, key, q)
			q.Burst = 100
			if q.Algorithm == ratelimit.AlgorithmWindow {
				q.Rate = 100
			}
			if r := take(t, l, key, q); !r.Allowed {
				t.Errorf("with a larger quota: %+v", r)
			}
		})
	}
}

func TestFlushAndRestartCostAtMostOneMoreBurst(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	for name, q := range both(ratelimit.Quota{Rate: 5, Period: time.Hour, Burst: 5}) {
		key := freshKey()
		// Each call uses its own limiter, as another replica would: a limiter that
		// remembers that the key is over quota would hide the loss.
		spend := func() (n int) {
			other := ratelimit.NewRedis(openRedis(t, s))
			for take(t, other, key, q).Allowed {
				n++
			}
			return n
		}
		for loss, lose := range map[string]func(){"flush": s.Flush, "restart": s.Restart, "script flush": func() { s.Do("SCRIPT", "FLUSH") }} {
			spend()
			lose()
			most := 5
			if loss == "script flush" {
				most = 0
			}
			if n := spend(); n != most {
				t.Errorf("%s: %d more admitted after %s, want %d", name, n, loss, most)
			}
		}
	}
}

func TestKeysInRedisHaveThePrefixAndNoClientIDAndExpire(t *testing.T) {
	for name, q := range both(ratelimit.Quota{Rate: 5, Period: time.Minute, Burst: 5}) {
		t.Run(name, func(t *testing.T) {
			s := redistest.Start(t)
			l, key := ratelimit.NewRedis(openRedis(t, s)), ratelimit.Key("us", "0oa1b2c3d4")
			want := "osgate:rate:{" + key + "}:" + name
			for range 7 { // including two refusals
				take(t, ratelimit.NewRedis(openRedis(t, s)), key, q)
			}
			take(t, l, key, q)
			if got := s.Do("RANDOMKEY"); got != want || s.Do("DBSIZE") != "1" {
				t.Errorf("key %q in Redis, want %q alone", got, want)
			}
			if ttl, err := strconv.Atoi(s.Do("TTL", want)); err != nil || ttl < 40 || ttl > 61 {
				t.Errorf("the key expires in %d s, want when its last unit is there again", ttl)
			}
		})
	}
}

// TestWindowOutlivesAClockThatIsSetBack makes the log in Redis an hour newer than
// Redis's clock, as if that clock had been set back or another server had taken over.
func TestWindowOutlivesAClockThatIsSetBack(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	q, key := ratelimit.Quota{Rate: 3, Period: 500 * time.Millisecond, Algorithm: ratelimit.AlgorithmWindow}, freshKey()
	name := "osgate:rate:{" + key + "}:window"
	exhaust(t, ratelimit.NewRedis(openRedis(t, s)), key, q)
	s.Do("SET", name, shifted(s.Do("GET", name), time.Hour))

	l := ratelimit.NewRedis(openRedis(t, s))
	refused := take(t, l, key, q)
	if refused.Allowed || refused.RetryAfter > q.Period || refused.ResetAfter > q.Period {
		t.Fatalf("an hour back: %+v, want refused for no longer than a period", refused)
	}
	if ttl := s.Do("TTL", name); ttl == "-1" {
		t.Error("the key never expires")
	}
	<-time.After(refused.ResetAfter)
	later := time.Now()
	for remaining := 2; remaining >= 0; remaining-- {
		if r := take(t, l, key, q); !r.Allowed || r.ResetAfter != q.Period || r.Remaining != remaining && time.Since(later) < q.Period {
			t.Errorf("a period later: %+v, want allowed, %d remaining", r, remaining)
		}
	}
}

func TestLogOfAWindowHoldsNoMoreThanTheRate(t *testing.T) {
	s := redistest.Start(t)
	l, key := ratelimit.NewRedis(openRedis(t, s)), freshKey()
	q := ratelimit.Quota{Rate: 3, Period: 20 * time.Millisecond, Algorithm: ratelimit.AlgorithmWindow}
	for range 12 {
		r := take(t, l, key, q)
		if n, err := strconv.Atoi(s.Do("STRLEN", s.Do("RANDOMKEY"))); err != nil || n > 3*8 {
			t.Fatalf("the log is %d bytes long, want at most 8 for each of 3 units", n)
		}
		<-time.After(r.RetryAfter)
	}
}

// TestGCRAOutlivesAClockThatIsSetBackAndAShorterQuota checks that units counted an hour
// ahead of Redis's clock, or for a quota with a period of an hour, do not cause
// refusals for an hour.
func TestGCRAOutlivesAClockThatIsSetBackAndAShorterQuota(t *testing.T) {
	q := ratelimit.Quota{Rate: 3, Period: 300 * time.Millisecond, Burst: 3}
	for name, leave := range map[string]func(t *testing.T, s *redistest.Server, key string){
		"clock set back": func(t *testing.T, s *redistest.Server, key string) {
			t.Helper()
			name := "osgate:rate:{" + key + "}:gcra"
			exhaust(t, ratelimit.NewRedis(openRedis(t, s)), key, q)
			tat, err := strconv.ParseFloat(s.Do("GET", name), 64)
			if err != nil {
				t.Fatal(err)
			}
			s.Do("SET", name, strconv.FormatFloat(tat+3600, 'f', -1, 64), "EX", "3601")
		},
		"a quota by the hour": func(t *testing.T, s *redistest.Server, key string) {
			t.Helper()
			exhaust(t, ratelimit.NewRedis(openRedis(t, s)), key, ratelimit.Quota{Rate: 3, Period: time.Hour, Burst: 3})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, key := redistest.Start(t), freshKey()
			leave(t, s, key)
			var admitted atomic.Int64
			var replicas sync.WaitGroup
			start := time.Now()
			for range 5 { // at once: no call discards a unit that another one took
				l := ratelimit.NewRedis(openRedis(t, s))
				replicas.Go(func() {
					for r := take(t, l, key, q); r.Allowed; r = take(t, l, key, q) {
						admitted.Add(1)
					}
				})
			}
			replicas.Wait()
			if n, most := admitted.Load(), 3+int64(time.Since(start)/(100*time.Millisecond)); n < 3 || n > most {
				t.Errorf("%d admitted within %v, want one more burst of 3", n, time.Since(start))
			}
		})
	}
}

// shifted returns a window's log with all instants moved by d.
func shifted(log string, d time.Duration) string {
	b := []byte(log)
	for i := 0; i < len(b); i += 8 {
		at := math.Float64frombits(binary.LittleEndian.Uint64(b[i:]))
		binary.LittleEndian.PutUint64(b[i:], math.Float64bits(at+float64(d/time.Microsecond)))
	}
	return string(b)
}

func TestRedisLimiterReportsThatRedisIsUnavailable(t *testing.T) {
	s := redistest.Start(t)
	l := ratelimit.NewRedis(openRedis(t, s))
	s.Stop()
	q := ratelimit.Quota{Rate: 1, Period: time.Minute, Burst: 5}
	if _, err := l.Take(t.Context(), freshKey(), q); !errors.Is(err, redisconn.ErrDown) {
		t.Errorf("error %v, want ErrDown", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Take(ctx, freshKey(), q); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

func TestOddAnswersAreErrorsNotPanics(t *testing.T) {
	// EVALSHA is renamed so that it answers as EXISTS does: with a number, where
	// redis_rate expects a list.
	s := redistest.Start(t, "--rename-command", "EVALSHA", "UNUSED", "--rename-command", "EXISTS", "EVALSHA")
	l := ratelimit.NewRedis(openRedis(t, s))
	for name, q := range both(ratelimit.Quota{Rate: 10}) {
		r, err := l.Take(t.Context(), freshKey(), q)
		if err == nil || !strings.Contains(err.Error(), "unknown form") {
			t.Errorf("%s: %+v, %v; want an error", name, r, err)
		}
	}
}

func TestRedisLimiterWorksInACluster(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--cluster-enabled", "yes", "--cluster-require-full-coverage", "no")
	s.Do("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
	conn, err := redisconn.Open(redisconn.Options{URL: s.URL() + "?addr=" + s.Addr(), Timeout: redisTimeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for !strings.Contains(s.Do("CLUSTER", "INFO"), "cluster_state:ok") {
		<-retry.C
	}
	l := ratelimit.NewRedis(conn)
	for name, q := range both(ratelimit.Quota{Rate: 3, Period: time.Hour, Burst: 3}) {
		key := freshKey()
		for remaining := 2; remaining >= 0; remaining-- {
			if r := take(t, l, key, q); !r.Allowed || r.Remaining != remaining {
				t.Errorf("%s: %+v, want allowed and %d remaining", name, r, remaining)
			}
		}
	}
}

func TestManyCallersOfASpentKeyCostRedisItsTurns(t *testing.T) {
	t.Parallel()
	for name, q := range both(ratelimit.Quota{Rate: 50, Period: time.Second, Burst: 1}) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			l, key := ratelimit.NewRedis(openRedis(t, s)), freshKey()
			before, start := calls(t, s), time.Now()
			var all sync.WaitGroup
			var admitted, refused atomic.Int64
			for range 64 {
				all.Go(func() {
					for time.Since(start) < time.Second || refused.Load() < 1000 && time.Since(start) < patience {
						if take(t, l, key, q).Allowed {
							admitted.Add(1)
						} else {
							refused.Add(1)
						}
					}
				})
			}
			all.Wait()
			// Before the limiter knows anything of the key, each caller sends one call;
			// a window in which units become available at once admits some more.
			if got, most := calls(t, s)-before, int(2*admitted.Load())+2*64; got > most || refused.Load() < 1000 {
				t.Errorf("%d questions for %d admissions and %d refusals, want at most %d", got, admitted.Load(), refused.Load(), most)
			}
		})
	}
}
