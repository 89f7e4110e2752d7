package ratelimit_test

import (
	"testing"
	"time"

	"osgate/internal/redisconn/redistest"
	"osgate/ratelimit"
)

// TestAClockThatIsSetBackKeepsTheSpacingOfAWindow sets Redis's clock back by two hours
// after three units were taken, twenty minutes apart. The latest counts as taken at
// that moment, and the others keep their distance from it, so that they become
// available twenty minutes apart too. Each call comes from another replica.
func TestAClockThatIsSetBackKeepsTheSpacingOfAWindow(t *testing.T) {
	t.Parallel()
	const apart = 20 * time.Minute
	s, clock := redistest.StartWithClock(t)
	q, key := ratelimit.Quota{Rate: 3, Period: time.Hour, Algorithm: ratelimit.AlgorithmWindow}, freshKey()
	start := time.Now()
	ask := func(at time.Duration) ratelimit.Result {
		clock.Set(at)
		return take(t, ratelimit.NewRedis(openRedis(t, s)), key, q)
	}
	for i := range 3 {
		if r := ask(time.Duration(i) * apart); !r.Allowed {
			t.Fatalf("unit %d: %+v", i, r)
		}
	}
	const back = -2 * time.Hour
	if r := ask(back); r.Allowed || !justBelow(r.RetryAfter, apart, start) || !justBelow(r.ResetAfter, q.Period, start) {
		t.Errorf("set back: %+v, want the first unit in %v and the last in %v", r, apart, q.Period)
	}
	for i := range 3 {
		at := back + time.Duration(i+1)*apart
		if r := ask(at - time.Minute); r.Allowed {
			t.Errorf("a minute before unit %d is back: %+v", i, r)
		}
		if r := ask(at + time.Second); !r.Allowed || r.Remaining != 0 {
			t.Errorf("when unit %d is back: %+v, want it alone", i, r)
		}
	}
}
