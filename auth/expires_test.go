package auth_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"osgate/auth"
)

// ending accepts a token that ends at the given time.
func ending(at time.Time) resolverFunc {
	return func(ctx context.Context, plane string, token auth.Token) (*auth.Principal, error) {
		p, err := yes(ctx, plane, token)
		p.Expires = at
		return p, err
	}
}

func TestNothingHoldsBeyondTheTokensEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var plane changing
		plane.become(ending(began.Add(10 * time.Second)))
		resolver, lookups := counted(plane.ask)
		a := newAuthenticator(t, resolver)
		other := auth.NewToken("other")
		expect(t, a, "us", token, "fresh")
		expect(t, a, "us", other, "fresh")
		use(t, a, token, 100*time.Millisecond, 10*time.Second)
		// Renewed ahead of its end, more often close to it, and never without a pause.
		if got := lookups.Load(); got < 3 || got > 20 {
			t.Errorf("%d lookups about a token that ends soon", got)
		}
		expect(t, a, "us", token, "refused") // the plane still accepts the token, but reports an end in the past
		before := lookups.Load()
		pass(negativeTTL - 1)
		expect(t, a, "us", token, "refused")
		if got := lookups.Load(); got != before {
			t.Errorf("%d lookups about a token that has ended", got-before+1)
		}
		plane.become(no)
		expect(t, a, "us", other, "refused")
		plane.become(ending(time.Now().Add(ttl + 10*time.Second)))
		third := auth.NewToken("third")
		expect(t, a, "us", third, "fresh")
		plane.become(failing)
		pass(ttl)
		trip(t, a)
		expect(t, a, "us", third, "stale")
		pass(10*time.Second - 1)
		expect(t, a, "us", third, "stale")
		pass(1)
		expect(t, a, "us", third, "unavailable")
	})
}

// A token that ends while the answer is on its way is refused.
func TestTokenThatEndsWhileAskingIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthenticator(t, after(2*time.Second, ending(time.Now().Add(time.Second))))
		expect(t, a, "us", token, "refused")
	})
}
