package auth_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"osgate/auth"
)

func TestForgottenTokenIsLookedUpAgain(t *testing.T) {
	resolver, lookups := counted(yes)
	a := newAuthenticator(t, resolver)
	expect(t, a, "us", token, "fresh")
	expect(t, a, "eu", token, "fresh")
	a.Forget("us", auth.NewToken("another"))
	a.Forget("us", token)
	expect(t, a, "eu", token, "fresh")
	if got := lookups.Load(); got != 2 {
		t.Errorf("%d lookups before, want 2", got)
	}
	expect(t, a, "us", token, "fresh")
	if got := lookups.Load(); got != 3 {
		t.Errorf("%d lookups after, want 3", got)
	}
}

// If a token is revoked while a yes is on its way, later callers do not get that yes.
func TestAnswerOnItsWayIsForgottenToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var plane changing
		plane.become(after(2*time.Second, yes))
		resolver, lookups := counted(plane.ask)
		a := newAuthenticator(t, resolver)
		var all sync.WaitGroup
		all.Go(func() { expect(t, a, "us", token, "fresh") }) // joined before, so that it gets the answer
		pass(time.Second)
		plane.become(after(3*time.Second, no))
		a.Forget("us", token)
		began := time.Now()
		all.Go(func() {
			if got := outcome(a.Identify(t.Context(), "us", token, "")); got != "refused" || time.Since(began) != 3*time.Second {
				t.Errorf("a later caller: %s after %v", got, time.Since(began))
			}
		})
		synctest.Wait()
		pass(2 * time.Second) // the yes has come, the no has not
		if got := outcome(a.Identify(t.Context(), "us", token, "")); got != "refused" || lookups.Load() != 2 {
			t.Errorf("a caller after the positive answer: %s, %d lookups", got, lookups.Load())
		}
		all.Wait()
	})
}

// The verdict known before a failed lookup may have been forgotten meanwhile.
func TestForgottenTokenIsNotForwardedWhileThePlaneIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var plane changing
		plane.become(yes)
		a := newAuthenticator(t, plane.ask)
		expect(t, a, "us", token, "fresh")
		plane.become(silent)
		pass(ttl)
		var all sync.WaitGroup
		all.Go(func() {
			expect(t, a, "us", token, "unavailable")
		})
		pass(100 * time.Millisecond)
		a.Forget("us", token)
		all.Wait()
	})
}

func TestDoubtedTokenIsLookedUpAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resolver, lookups := counted(yes)
		a := newAuthenticator(t, resolver)
		id, _ := a.Identify(t.Context(), "us", token, "")
		for _, tt := range []struct {
			passes  time.Duration
			lookups int64
		}{{0, 1}, {negativeTTL - 1, 1}, {1, 2}, {0, 2}, {negativeTTL - 1, 2}, {1, 3}} {
			pass(tt.passes)
			a.Doubt([32]byte{})
			a.Doubt(id.Hash)
			if got := outcome(a.Identify(t.Context(), "us", token, "")); got != "fresh" || lookups.Load() != tt.lookups {
				t.Errorf("%+v: %s, %d lookups", tt, got, lookups.Load())
			}
		}
		a.Doubt([32]byte{1}) // hash of no token
	})
}

func TestDoubtsDoNotCauseALookupEachTime(t *testing.T) {
	for _, negative := range []time.Duration{0, time.Second / 2, time.Second, negativeTTL} {
		synctest.Test(t, func(t *testing.T) {
			resolver, lookups := counted(yes)
			a := newAuthenticator(t, resolver, func(o *auth.Options) { o.NegativeTTL = negative })
			const lasts = time.Minute
			for began := time.Now(); time.Since(began) < lasts; pass(10 * time.Millisecond) {
				id, err := a.Identify(t.Context(), "us", token, "")
				if err != nil {
					t.Fatal(err)
				}
				a.Doubt(id.Hash)
			}
			interval := max(negative, time.Second)
			if got, most := lookups.Load(), int64(lasts/interval); got > most || got < most*9/10 {
				t.Errorf("%d lookups in %v, want %d: once per %v", got, lasts, most, interval)
			}
		})
	}
}
