package ratelimit_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"osgate/ratelimit"
)

// limiterFunc is a limiter made of a function.
type limiterFunc func(context.Context, string, ratelimit.Quota) (ratelimit.Result, error)

func (f limiterFunc) Take(ctx context.Context, key string, q ratelimit.Quota) (ratelimit.Result, error) {
	return f(ctx, key, q)
}

var errLost = errors.New("lost")

// lost is a limiter that cannot decide.
var lost = limiterFunc(func(context.Context, string, ratelimit.Quota) (ratelimit.Result, error) {
	return ratelimit.Result{}, errLost
})

var tenASecond = ratelimit.Quota{Rate: 10, Period: time.Second, Burst: 10}

func TestFailoverUsesOnlyThePrimary(t *testing.T) {
	want := ratelimit.Result{Allowed: true, Limit: 10, Remaining: 7}
	primary := limiterFunc(func(context.Context, string, ratelimit.Quota) (ratelimit.Result, error) { return want, nil })
	for _, mode := range []ratelimit.Mode{"", ratelimit.ModeLocal, ratelimit.ModeOpen, ratelimit.ModeClosed} {
		f := ratelimit.NewFailover(ratelimit.FailoverOptions{Primary: primary, Fallback: lost, Mode: mode})
		if got := take(t, f, "k", tenASecond); got != want {
			t.Errorf("mode %q: %+v, want the primary's %+v", mode, got, want)
		}
	}
}

func TestAPrimaryThatWasLostForARequestIsNotUsedAgainForIt(t *testing.T) {
	primary := limiterFunc(func(context.Context, string, ratelimit.Quota) (ratelimit.Result, error) {
		t.Error("the primary is used")
		return ratelimit.Result{}, nil
	})
	f := ratelimit.NewFailover(ratelimit.FailoverOptions{Primary: primary, Fallback: ratelimit.NewLocal(ratelimit.LocalOptions{}), Replicas: 2})
	r, err := f.Take(ratelimit.WithoutPrimary(t.Context()), "k", tenASecond)
	if err != nil || !r.Allowed || !r.Degraded || r.Remaining != 4 {
		t.Errorf("%+v, %v; want one of this replica's five", r, err)
	}
}

func TestWithoutThePrimaryEachReplicaAdmitsItsShare(t *testing.T) {
	tests := map[string]struct {
		replicas, burst int
		first           int // admitted at once
		perSecond       int
	}{
		"one replica has it all":            {replicas: 1, burst: 10, first: 10, perSecond: 10},
		"none said is one":                  {replicas: 0, burst: 10, first: 10, perSecond: 10},
		"two have half each":                {replicas: 2, burst: 10, first: 5, perSecond: 5},
		"a burst is rounded down":           {replicas: 4, burst: 10, first: 2, perSecond: 2},
		"but is one at least, of any share": {replicas: 5, burst: 1, first: 1, perSecond: 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := ratelimit.NewFailover(ratelimit.FailoverOptions{
					Primary: lost, Fallback: ratelimit.NewLocal(ratelimit.LocalOptions{}), Replicas: tt.replicas,
				})
				q := ratelimit.Quota{Rate: 10, Period: time.Second, Burst: tt.burst}
				admitted := func() (n int) {
					for r := take(t, f, "k", q); r.Allowed; r = take(t, f, "k", q) {
						if n++; !r.Degraded || r.Limit != 10 {
							t.Fatalf("%+v, want degraded with limit 10", r)
						}
					}
					return n
				}
				if n := admitted(); n != tt.first {
					t.Errorf("%d admitted at once, want %d", n, tt.first)
				}
				n := 0
				for end := time.Now().Add(10 * time.Second); time.Now().Before(end); <-time.After(time.Millisecond) {
					n += admitted()
				}
				// The last unit of the ten seconds may come just after them.
				if want := 10*10/max(tt.replicas, 1) - 1; n < want || n > want+1 {
					t.Errorf("%d admitted within ten seconds, want %d", n, want+1)
				}
			})
		})
	}
}

func TestWithoutThePrimaryAllReplicasTogetherKeepTheWindow(t *testing.T) {
	for replicas, want := range map[int]struct {
		atOnce       int // by each replica
		inTenSeconds int // by all replicas
	}{1: {10, 100}, 3: {3, 90}, 10: {1, 100}, 15: {1, 105}, 20: {1, 100}} {
		t.Run(strconv.Itoa(replicas), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var all []time.Time
				limiters := make([]ratelimit.Limiter, replicas)
				for i := range limiters {
					limiters[i] = ratelimit.NewFailover(ratelimit.FailoverOptions{
						Primary: lost, Fallback: ratelimit.NewLocal(ratelimit.LocalOptions{}), Replicas: replicas,
					})
				}
				for end := time.Now().Add(10 * time.Second); time.Now().Before(end); <-time.After(10 * time.Millisecond) {
					for _, l := range limiters {
						n := 0
						for r := take(t, l, "k", tenInAnySecond); r.Allowed; r = take(t, l, "k", tenInAnySecond) {
							if n++; !r.Degraded || r.Limit != 10 || n > want.atOnce {
								t.Fatalf("%d at once: %+v, want degraded with limit 10", n, r)
							}
							all = append(all, time.Now())
						}
					}
				}
				if len(all) != want.inTenSeconds {
					t.Errorf("%d admitted within ten seconds, want %d", len(all), want.inTenSeconds)
				}
				if replicas > 10 {
					return // one from each replica may come at the same time
				}
				for i := 10; i < len(all); i++ {
					if apart := all[i].Sub(all[i-10]); apart < time.Second {
						t.Fatalf("units %d to %d within %v", i-10, i, apart)
					}
				}
			})
		})
	}
}

func TestOpenAdmitsAndClosedRefuses(t *testing.T) {
	open := ratelimit.NewFailover(ratelimit.FailoverOptions{Primary: lost, Mode: ratelimit.ModeOpen})
	want := ratelimit.Result{Allowed: true, Limit: 10, Remaining: 10, Degraded: true}
	for range 100 {
		if diff := cmp.Diff(want, take(t, open, "k", tenASecond)); diff != "" {
			t.Fatalf("open (-want +got):\n%s", diff)
		}
	}
	shut := ratelimit.NewFailover(ratelimit.FailoverOptions{Primary: lost, Mode: ratelimit.ModeClosed})
	r, err := shut.Take(t.Context(), "k", tenASecond)
	if !errors.Is(err, ratelimit.ErrUnavailable) || !errors.Is(err, errLost) || r.Allowed {
		t.Errorf("closed: %+v, %v; want ErrUnavailable and its cause", r, err)
	}
	if r := take(t, shut, "k", ratelimit.Quota{}); !r.Allowed || r.Degraded {
		t.Errorf("closed, but no limit: %+v, want allowed", r)
	}
}

func TestClientThatLeftIsNoLossOfThePrimary(t *testing.T) {
	f := ratelimit.NewFailover(ratelimit.FailoverOptions{Primary: lost, Mode: ratelimit.ModeOpen})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r, err := f.Take(ctx, "k", tenASecond); !errors.Is(err, context.Canceled) || r.Allowed {
		t.Errorf("%+v, %v; want context.Canceled", r, err)
	}
}

func TestFailoverThatCouldNotWorkIsRefusedAtConstruction(t *testing.T) {
	for name, o := range map[string]ratelimit.FailoverOptions{
		"no primary":   {Fallback: lost},
		"no fallback":  {Primary: lost},
		"unknown mode": {Primary: lost, Fallback: lost, Mode: "sometimes"},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			ratelimit.NewFailover(o)
		})
	}
}
