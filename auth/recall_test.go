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
		ask, asked := counted(yes)
		plane.become(ask)
		a := newAuthenticator(t, plane.ask)
		recall := func(token auth.Token) auth.Standing {
			who, standing := a.Recall(t.Context(), "us", token, "")
			if (who.Principal != nil) != (standing == auth.Fresh) {
				t.Errorf("standing %d with principal %v", standing, who.Principal)
			}
			return standing
		}
		if got := recall(token); got != auth.Unknown || asked.Load() != 0 {
			t.Errorf("a new token has standing %d, and %d requests were made", got, asked.Load())
		}
		expect(t, a, "us", token, "fresh")
		for _, tt := range []struct {
			passes time.Duration
			want   auth.Standing
		}{{0, auth.Fresh}, {59 * time.Second, auth.Fresh}, {59 * time.Second, auth.Fresh}} {
			pass(tt.passes)
			if got := recall(token); got != tt.want {
				t.Errorf("after %v more: standing %d, want %d", tt.passes, got, tt.want)
			}
			synctest.Wait()
		}
		if asked.Load() < 2 {
			t.Error("a token in use was not asked about again ahead of its end")
		}
	})
}

func TestATokenWhoseIdentityHasEndedIsVouchedForWhileItMayBeForwarded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthenticator(t, yes)
		expect(t, a, "us", token, "fresh")
		pass(ttl)
		if _, got := a.Recall(t.Context(), "us", token, ""); got != auth.Vouched {
			t.Errorf("standing %d, want %d", got, auth.Vouched)
		}
		pass(stale - 1)
		if _, got := a.Recall(t.Context(), "us", token, ""); got != auth.Vouched {
			t.Errorf("standing %d just before the end of forwarding, want %d", got, auth.Vouched)
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
