package auth_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"osgate/auth"
)

func TestFirstRequestFindsWhatWasWarmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resolver, lookups := counted(after(2*time.Second, yes))
		a := newAuthenticator(t, resolver)
		early, late := auth.NewToken("early"), auth.NewToken("late")
		began := time.Now()
		a.Warm("us", early)
		a.Warm("us", late)
		if time.Since(began) != 0 {
			t.Errorf("warming took %v", time.Since(began))
		}
		pass(time.Second)
		if got := outcome(a.Identify(t.Context(), "us", early, "")); got != "fresh" || time.Since(began) != 2*time.Second {
			t.Errorf("a caller during the lookup: %s after %v", got, time.Since(began))
		}
		synctest.Wait()
		if got := outcome(a.Identify(t.Context(), "us", late, "")); got != "fresh" || time.Since(began) != 2*time.Second {
			t.Errorf("a caller after the lookup: %s after %v", got, time.Since(began))
		}
		a.Warm("us", late)
		synctest.Wait()
		if got := lookups.Load(); got != 2 {
			t.Errorf("%d lookups for 2 tokens", got)
		}
	})
}

func TestWarmingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resolver, lookups := counted(after(time.Second, yes))
		a := newAuthenticator(t, resolver)
		warm := func(from int) int64 {
			lookups.Store(0)
			for i := range 1000 {
				a.Warm("us", auth.NewToken(fmt.Sprint(from+i)))
			}
			synctest.Wait()
			return lookups.Load()
		}
		if got := warm(0); got != 64 {
			t.Errorf("%d lookups at once, want 64", got)
		}
		if got := outcome(a.Identify(t.Context(), "us", auth.NewToken("awaited"), "")); got != "fresh" {
			t.Errorf("a request that comes meanwhile: %s", got)
		}
		synctest.Wait()
		if got := warm(1000); got != 64 {
			t.Errorf("%d lookups at once later, want 64", got)
		}
	})
}
