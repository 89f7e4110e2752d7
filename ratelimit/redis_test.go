package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
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

func TestTwoRedisLimitersShareOneQuota(t *testing.T) {
	s := redistest.Start(t)
	one, two := ratelimit.NewRedis(openRedis(t, s)), ratelimit.NewRedis(openRedis(t, s))
	q, key := ratelimit.Quota{Rate: 1, Period: time.Hour, Burst: 10}, freshKey()
	for remaining := 9; remaining >= 1; remaining -= 2 {
		if r := take(t, one, key, q); r.Remaining != remaining {
			t.Errorf("the first: %+v, want %d remaining", r, remaining)
		}
		if r := take(t, two, key, q); r.Remaining != remaining-1 {
			t.Errorf("the second: %+v, want %d remaining", r, remaining-1)
		}
	}
	if a, b := take(t, one, key, q), take(t, two, key, q); a.Allowed || b.Allowed {
		t.Errorf("beyond the burst: %+v, %+v", a, b)
	}
}

func TestEachDecisionIsOneCallAndNoneWhileOverQuotaIsKnown(t *testing.T) {
	s := redistest.Start(t)
	l := ratelimit.NewRedis(openRedis(t, s))
	q, key := ratelimit.Quota{Rate: 10, Period: time.Second, Burst: 10}, freshKey()
	take(t, l, freshKey(), q) // loads the script
	before := calls(t, s)
	r := ratelimit.Result{Remaining: 1}
	for n := 1; r.Remaining > 0; n++ {
		r = take(t, l, key, q)
		if got := calls(t, s) - before; got != n {
			t.Fatalf("%d calls for %d decisions", got, n)
		}
	}
	before = calls(t, s)
	refused, start := 0, time.Now()
	for time.Since(start) < 3*r.RetryAfter/2 {
		if !take(t, l, key, q).Allowed {
			refused++
		}
	}
	// One for the unit that came meanwhile; a second if the machine was slow.
	if got := calls(t, s) - before; got < 1 || got > 2 {
		t.Errorf("%d refusals within %v cost Redis %d calls, want 1", refused, time.Since(start), got)
	}
}

func TestMemoryOfOneQuotaDoesNotRefuseAnother(t *testing.T) {
	l := ratelimit.NewRedis(openRedis(t, redistest.Start(t)))
	key := freshKey()
	take(t, l, key, ratelimit.Quota{Rate: 1, Period: time.Hour, Burst: 1})
	if r := take(t, l, key, ratelimit.Quota{Rate: 1, Period: time.Hour, Burst: 100}); !r.Allowed {
		t.Errorf("with a larger quota: %+v", r)
	}
}

func TestFlushAndRestartCostAtMostOneMoreBurst(t *testing.T) {
	s := redistest.Start(t)
	l := ratelimit.NewRedis(openRedis(t, s))
	q, key := ratelimit.Quota{Rate: 1, Period: time.Minute, Burst: 5}, freshKey()
	// A limiter of its own each time, as it were another replica: this one's memory
	// of being over quota would hide the loss.
	spend := func() (n int) {
		other := ratelimit.NewRedis(openRedis(t, s))
		for take(t, other, key, q).Allowed {
			n++
		}
		return n
	}
	for name, lose := range map[string]func(){"flush": s.Flush, "restart": s.Restart, "script flush": func() { s.Do("SCRIPT", "FLUSH") }} {
		spend()
		lose()
		most := 5
		if name == "script flush" {
			most = 0
		}
		if n := spend(); n != most {
			t.Errorf("%d more admitted after %s, want %d", n, name, most)
		}
	}
	if r := take(t, l, key, q); r.Allowed {
		t.Errorf("still: %+v", r)
	}
}

func TestKeysInRedisHaveThePrefixAndNoClientID(t *testing.T) {
	s := redistest.Start(t)
	l := ratelimit.NewRedis(openRedis(t, s))
	key := ratelimit.Key("us", "0oa1b2c3d4")
	take(t, l, key, ratelimit.Quota{Rate: 1, Period: time.Minute, Burst: 5})
	if got, want := s.Do("RANDOMKEY"), "osgate:rate:{"+key+"}"; got != want || s.Do("DBSIZE") != "1" {
		t.Errorf("key %q in Redis, want %q alone", got, want)
	}
	if ttl := s.Do("TTL", "osgate:rate:{"+key+"}"); ttl == "-1" {
		t.Error("the key never expires")
	}
}

func TestRedisLimiterSaysThatRedisIsDown(t *testing.T) {
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
	// EVALSHA answers as EXISTS does, with a number, which redis_rate takes for a list.
	s := redistest.Start(t, "--rename-command", "EVALSHA", "UNUSED", "--rename-command", "EXISTS", "EVALSHA")
	l := ratelimit.NewRedis(openRedis(t, s))
	r, err := l.Take(t.Context(), freshKey(), ratelimit.Quota{Rate: 10})
	if err == nil || !strings.Contains(err.Error(), "unknown form") {
		t.Errorf("Take: %+v, %v; want an error", r, err)
	}
}

func TestRedisLimiterWorksInACluster(t *testing.T) {
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
	q, key := ratelimit.Quota{Rate: 1, Period: time.Hour, Burst: 3}, freshKey()
	for remaining := 2; remaining >= 0; remaining-- {
		if r := take(t, l, key, q); !r.Allowed || r.Remaining != remaining {
			t.Errorf("%+v, want allowed and %d remaining", r, remaining)
		}
	}
}
