package auth_test

import (
	"testing"
	"testing/synctest"
	"time"

	"osgate/auth"
)

func TestRecallReportsTheStandingOfATokenAndNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var plane changing
		resolver, lookups := counted(yes)
		plane.become(resolver)
		a := newAuthenticator(t, plane.ask)
		recall := func(token auth.Token) auth.TokenState {
			id, standing := a.Recall(t.Context(), "us", token, "")
			if (id.Principal != nil) != (standing == auth.Fresh) {
				t.Errorf("standing %d with principal %v", standing, id.Principal)
			}
			return standing
		}
		if got := recall(token); got != auth.Unknown || lookups.Load() != 0 {
			t.Errorf("a new token has standing %d, and %d requests were made", got, lookups.Load())
		}
		expect(t, a, "us", token, "fresh")
		for _, tt := range []struct {
			passes time.Duration
			want   auth.TokenState
		}{{0, auth.Fresh}, {59 * time.Second, auth.Fresh}, {59 * time.Second, auth.Fresh}} {
			pass(tt.passes)
			if got := recall(token); got != tt.want {
				t.Errorf("after %v more: standing %d, want %d", tt.passes, got, tt.want)
			}
			synctest.Wait()
		}
		if lookups.Load() < 2 {
			t.Error("a token in use was not looked up again before its end")
		}
	})
}

func TestATokenWhoseIdentityHasEndedIsVouchedForWhileItMayBeForwarded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthenticator(t, yes)
		expect(t, a, "us", token, "fresh")
		pass(ttl)
		if _, got := a.Recall(t.Context(), "us", token, ""); got != auth.Stale {
			t.Errorf("standing %d, want %d", got, auth.Stale)
		}
		pass(stale - 1)
		if _, got := a.Recall(t.Context(), "us", token, ""); got != auth.Stale {
			t.Errorf("standing %d just before the end of forwarding, want %d", got, auth.Stale)
		}
		pass(1)
		if _, got := a.Recall(t.Context(), "us", token, ""); got != auth.Unknown {
			t.Errorf("standing %d after the time of forwarding, want %d", got, auth.Unknown)
		}
	})
}

func TestARefusedTokenIsUnknown(t *testing.T) {
	a := newAuthenticator(t, no)
	expect(t, a, "us", token, "refused")
	if _, got := a.Recall(t.Context(), "us", token, ""); got != auth.Unknown {
		t.Errorf("standing %d, want %d", got, auth.Unknown)
	}
}
