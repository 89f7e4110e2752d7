package auth_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"osgate/auth"
)

// use identifies token at every step for the given time, and fails the test if a caller
// waits or gets an outcome other than fresh.
func use(t *testing.T, a *auth.Authenticator, token auth.Token, step, lasts time.Duration) {
	t.Helper()
	for began := time.Now(); time.Since(began) < lasts; pass(step) {
		at := time.Now()
		if got := outcome(a.Identify(t.Context(), "us", token, "")); got != "fresh" || time.Since(at) != 0 {
			t.Fatalf("after %v: %s, waited %v", at.Sub(began), got, time.Since(at))
		}
	}
}

func TestHotTokenNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var answered []time.Time
		resolver, lookups := counted(func(ctx context.Context, plane string, token auth.Token) (*auth.Principal, error) {
			answered = append(answered, time.Now())
			return yes(ctx, plane, token)
		})
		var plane changing
		plane.become(resolver)
		a := newAuthenticator(t, plane.ask)
		expect(t, a, "us", token, "fresh")
		plane.become(after(4*time.Second, resolver))
		use(t, a, token, 100*time.Millisecond, time.Hour)
		pass(5 * time.Second) // the last lookup may still be under way
		synctest.Wait()
		// Renewed after 42 to 54 s of 60, counted from each lookup; the answers take 4
		// s and arrive in time.
		if got := lookups.Load(); got < int64(time.Hour/(54*time.Second+100*time.Millisecond)) || got > int64(time.Hour/(42*time.Second))+1 {
			t.Errorf("%d lookups in an hour", got)
		}
		distinct := map[time.Duration]bool{}
		for i := 2; i < len(answered); i++ {
			gap := answered[i].Sub(answered[i-1])
			if gap < ttl*70/100 || gap > ttl*90/100+100*time.Millisecond {
				t.Errorf("the next lookup is after %v, want between 70 and 90 %% of %v", gap, ttl)
			}
			distinct[gap] = true
		}
		if len(distinct) < 10 {
			t.Errorf("only %d different gaps between %d lookups", len(distinct), len(answered))
		}
	})
}

// Tokens that were learned together, as after a start, are not renewed together.
func TestRefreshesAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resolver, lookups := counted(yes)
		a := newAuthenticator(t, resolver)
		const tokens = 200
		identify := func() {
			for i := range tokens {
				expect(t, a, "us", auth.NewToken(fmt.Sprint(i)), "fresh")
			}
			synctest.Wait()
		}
		identify()
		pass(ttl * 70 / 100)
		for range 12 {
			before := lookups.Load()
			identify()
			if got := lookups.Load() - before; got > tokens/4 {
				t.Errorf("%d of %d lookups within one second of 12", got, tokens)
			}
			pass(time.Second)
		}
		identify()
		if got := lookups.Load(); got != 2*tokens {
			t.Errorf("%d lookups for %d tokens in one lifetime, want each again once", got, tokens)
		}
	})
}

func TestIdleTokenIsNotRefreshed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resolver, lookups := counted(yes)
		a := newAuthenticator(t, resolver)
		use(t, a, token, time.Second, ttl*69/100)
		pass(time.Hour)
		if got := lookups.Load(); got != 1 {
			t.Errorf("%d lookups for an unused token", got)
		}
	})
}

func TestRefreshIsNeverTwoAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		a := newAuthenticator(t, func(ctx context.Context, plane string, token auth.Token) (*auth.Principal, error) {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			return after(4*time.Second, yes)(ctx, plane, token)
		})
		expect(t, a, "us", token, "fresh")
		use(t, a, token, 10*time.Millisecond, 5*ttl)
		if most.Load() != 1 {
			t.Errorf("%d lookups at once about one token", most.Load())
		}
	})
}

func TestRefreshThatIsRefusedRefusesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var plane changing
		plane.become(yes)
		a := newAuthenticator(t, plane.ask)
		expect(t, a, "us", token, "fresh")
		plane.become(after(time.Second, no))
		pass(ttl * 90 / 100)
		expect(t, a, "us", token, "fresh") // starts the refresh
		pass(time.Second)
		synctest.Wait()
		expect(t, a, "us", token, "refused")
	})
}

// A failed refresh keeps the verdict, and is not repeated at each request.
func TestRefreshThatFailsLeavesTheYes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var plane changing
		plane.become(yes)
		resolver, lookups := counted(plane.ask)
		a := newAuthenticator(t, resolver)
		expect(t, a, "us", token, "fresh")
		plane.become(failing)
		pass(ttl * 90 / 100)
		lookups.Store(0)
		use(t, a, token, 10*time.Millisecond, ttl/10)
		if got := lookups.Load(); got < 1 || got > 3 {
			t.Errorf("%d lookups in %v, want one in %v", got, ttl/10, ttl/20)
		}
		expect(t, a, "us", token, "stale")
		plane.become(yes)
		pass(longestPause)
		expect(t, a, "us", token, "stale") // the probe runs in the background
		synctest.Wait()
		expect(t, a, "us", token, "fresh")
	})
}

// A caller with a token of which no fresh verdict is known waits for a plane that is
// slow but not down. It does not get an outdated answer.
func TestSlowPlaneIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var plane changing
		plane.become(yes)
		a := newAuthenticator(t, plane.ask)
		expect(t, a, "us", token, "fresh")
		plane.become(after(400*time.Millisecond, yes))
		pass(ttl)
		began := time.Now()
		if got := outcome(a.Identify(t.Context(), "us", token, "")); got != "fresh" || time.Since(began) != 400*time.Millisecond {
			t.Errorf("%s after %v, want fresh after 400ms", got, time.Since(began))
		}
	})
}
