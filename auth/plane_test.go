package auth_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"osgate/auth"
)

// limited answers 429.
func limited(wait time.Duration) resolverFunc {
	return func(_ context.Context, plane string, _ auth.Token) (*auth.Principal, error) {
		return nil, &auth.UnavailableError{Plane: plane, RetryAfter: wait, Limited: true, Cause: errors.New("429")}
	}
}

// newTokens returns a function that returns a new token at each call.
func newTokens() func() auth.Token {
	var n atomic.Int64
	return func() auth.Token { return auth.NewToken(fmt.Sprint("token ", n.Add(1))) }
}

func TestPlaneThatFailsThreeTimesIsLeftAlone(t *testing.T) {
	for name, fails := range map[string]resolverFunc{
		"silent": silent, "5xx": failing, "429": limited(0), "odd": func(context.Context, string, auth.Token) (*auth.Principal, error) { return nil, errors.New("odd") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				next := newTokens()
				resolver, lookups := counted(fails)
				a := newAuthenticator(t, func(ctx context.Context, plane string, token auth.Token) (*auth.Principal, error) {
					if plane == "eu" {
						return yes(ctx, plane, token)
					}
					return resolver(ctx, plane, token)
				})
				for i := range int64(3) {
					expect(t, a, "us", next(), "unavailable")
					if lookups.Load() != i+1 {
						t.Fatalf("%d lookups for %d requests", lookups.Load(), i+1)
					}
				}
				for range 100 {
					began := time.Now()
					_, err := a.Identify(t.Context(), "us", next(), "")
					failure, ok := errors.AsType[*auth.UnavailableError](err)
					if !ok || failure.Plane != "us" || failure.RetryAfter < time.Second || failure.RetryAfter > longestPause || time.Since(began) != 0 {
						t.Fatalf("%+v after %v, want when to come back, at once", err, time.Since(began))
					}
				}
				if lookups.Load() != 3 {
					t.Errorf("%d lookups, want 3", lookups.Load())
				}
				expect(t, a, "eu", next(), "fresh")
			})
		})
	}
}

func TestRefusalsAreNoFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := newTokens()
		resolver, lookups := counted(no)
		a := newAuthenticator(t, resolver)
		for range 20 {
			expect(t, a, "us", next(), "refused")
		}
		if got := a.Planes(); lookups.Load() != 20 || len(got) != 1 || !got[0].OK || got[0].LastError != "" {
			t.Errorf("%d lookups, %+v", lookups.Load(), got)
		}
	})
}

// Failures count only in a row.
func TestAnswersBetweenFailuresKeepThePlane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := newTokens()
		var plane changing
		a := newAuthenticator(t, plane.ask)
		for _, good := range []resolverFunc{yes, no, yes, no} {
			plane.become(failing)
			expect(t, a, "us", next(), "unavailable")
			expect(t, a, "us", next(), "unavailable")
			plane.become(good)
			if got := outcome(a.Identify(t.Context(), "us", next(), "")); got == "unavailable" {
				t.Errorf("unavailable after two failures in a row")
			}
		}
	})
}

func TestProbesAreOneAtATimeAndFurtherAndFurtherApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := newTokens()
		var probes []time.Duration
		var now, most int
		var mu sync.Mutex
		began := time.Now()
		a := newAuthenticator(t, func(ctx context.Context, plane string, token auth.Token) (*auth.Principal, error) {
			mu.Lock()
			now++
			most = max(most, now)
			probes = append(probes, time.Since(began))
			mu.Unlock()
			defer func() { mu.Lock(); now--; mu.Unlock() }()
			return after(time.Hour, yes)(ctx, plane, token) // until the timeout
		})
		trip(t, a)
		mu.Lock()
		probes, most, began = nil, 0, time.Now()
		mu.Unlock()
		var waited, atOnce atomic.Int64
		var all sync.WaitGroup
		for time.Since(began) < time.Minute {
			all.Go(func() {
				came := time.Now()
				_, err := a.Identify(t.Context(), "us", next(), "")
				switch failure, _ := errors.AsType[*auth.UnavailableError](err); {
				case failure == nil || failure.RetryAfter < time.Second && time.Since(came) == 0:
					t.Errorf("%v, want an outage and when it may be over", err)
				case time.Since(came) == timeout:
					waited.Add(1)
				case time.Since(came) == 0:
					atOnce.Add(1)
				default:
					t.Errorf("waited %v", time.Since(came))
				}
			})
			pass(100 * time.Millisecond)
		}
		all.Wait()
		mu.Lock()
		defer mu.Unlock()
		// Each probe fails after 5 s, and the next one starts 1, 2, 4, 8, 10, 10 … s
		// later.
		var want []time.Duration
		var at time.Duration
		for _, delay := range []time.Duration{pause, 2 * pause, 4 * pause, 8 * pause, longestPause, longestPause} {
			want = append(want, at+delay)
			at += delay + timeout
		}
		if !slices.Equal(probes, want[:len(probes)]) || len(probes) < 5 || most != 1 {
			t.Errorf("probes at %v, %d at once; want some at %v, one at a time", probes, most, want)
		}
		if waited.Load() != int64(len(probes)) || atOnce.Load() != 600-waited.Load() {
			t.Errorf("%d callers waited for %d probes, %d were refused at once", waited.Load(), len(probes), atOnce.Load())
		}
	})
}

func TestProbeThatSucceedsBringsThePlaneBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, good := range map[string]resolverFunc{"fresh": yes, "refused": no} {
			next := newTokens()
			var plane changing
			plane.become(failing)
			a := newAuthenticator(t, plane.ask)
			trip(t, a)
			plane.become(good)
			expect(t, a, "us", next(), "unavailable")
			pass(pause)
			expect(t, a, "us", next(), name)
			expect(t, a, "us", next(), name)
		}
	})
}

// A caller with a known token gets its answer at once, even if a probe is due: the
// probe runs in the background.
func TestKnownTokensDoNotWaitForProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var plane changing
		plane.become(yes)
		resolver, lookups := counted(plane.ask)
		a := newAuthenticator(t, resolver)
		expect(t, a, "us", token, "fresh")
		pass(ttl)
		plane.become(silent)
		trip(t, a)
		lookups.Store(0)
		for began := time.Now(); time.Since(began) < 30*time.Second; pass(100 * time.Millisecond) {
			came := time.Now()
			if got := outcome(a.Identify(t.Context(), "us", token, "")); got != "stale" || time.Since(came) != 0 {
				t.Fatalf("%s after %v, want stale at once", got, time.Since(came))
			}
		}
		synctest.Wait()
		if got := lookups.Load(); got < 3 || got > 4 { // at 1, 8, 17, 30 s
			t.Errorf("%d probes in 30 s", got)
		}
		plane.become(yes)
		pass(timeout + longestPause)
		expect(t, a, "us", token, "stale")
		synctest.Wait()
		expect(t, a, "us", token, "fresh")
	})
}

func TestChangesOfAPlaneAreReportedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := newTokens()
		var plane changing
		plane.become(failing)
		var reported []auth.PlaneState
		var a *auth.Authenticator
		a = newAuthenticator(t, plane.ask, func(o *auth.Options) {
			o.OnChange = func(s auth.PlaneState) {
				reported = append(reported, s)
				if got := a.Planes(); len(got) != 1 || got[0] != s { // OnChange runs without a lock
					t.Errorf("told %+v, Planes %+v", s, got)
				}
			}
		})
		began := time.Now()
		pass(time.Second)
		trip(t, a)
		for range 10 {
			expect(t, a, "us", next(), "unavailable")
		}
		synctest.Wait()
		down := auth.PlaneState{Plane: "us", Since: began.Add(time.Second), LastError: "http: request method or response status code does not allow body", RetryAfter: pause, Breaker: "open"}
		if len(reported) != 1 || reported[0] != down {
			t.Fatalf("told %+v, want %+v", reported, down)
		}
		pass(pause)
		expect(t, a, "us", next(), "unavailable") // a failed probe changes nothing
		plane.become(yes)
		pass(2 * pause)
		expect(t, a, "us", next(), "fresh")
		expect(t, a, "us", next(), "fresh")
		synctest.Wait()
		up := auth.PlaneState{Plane: "us", OK: true, Since: began.Add(4 * time.Second), LastError: down.LastError, Breaker: "closed"}
		if len(reported) != 2 || reported[1] != up {
			t.Errorf("told %+v, want %+v last", reported, up)
		}
		expect(t, a, "eu", next(), "fresh")
		if got := a.Planes(); len(got) != 2 || got[0].Plane != "eu" || got[1] != up {
			t.Errorf("planes %+v", got)
		}
	})
}

func TestAskingsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, most := range []int{0, 1, 10} {
			want := most
			if most == 0 {
				want = 256
			}
			next := newTokens()
			resolver, lookups := counted(after(time.Second, yes))
			a := newAuthenticator(t, resolver, func(o *auth.Options) { o.MaxLookups = most })
			var good, crowded atomic.Int64
			var all sync.WaitGroup
			for i := range 1000 {
				all.Go(func() {
					came := time.Now()
					_, err := a.Identify(t.Context(), []string{"us", "eu"}[i%2], next(), "")
					switch failure, _ := errors.AsType[*auth.UnavailableError](err); {
					case err == nil:
						good.Add(1)
					case failure != nil && failure.RetryAfter == time.Second && time.Since(came) == 0:
						crowded.Add(1)
					default:
						t.Errorf("%v after %v", err, time.Since(came))
					}
				})
			}
			all.Wait()
			if lookups.Load() != int64(want) || good.Load() != int64(want) || crowded.Load() != int64(1000-want) {
				t.Errorf("%d lookups, %d succeeded, %d refused; want %d lookups", lookups.Load(), good.Load(), crowded.Load(), want)
			}
			expect(t, a, "us", next(), "fresh")
			for _, s := range a.Planes() {
				if !s.OK || s.LastError != "" {
					t.Errorf("a lookup that was not sent counts as a failure of the plane: %+v", s)
				}
			}
		}
	})
}
