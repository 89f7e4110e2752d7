package auth_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"osgate/auth"
)

// heard are the askings that an authenticator told of.
type heard struct {
	mu  sync.Mutex // guards all
	all []auth.Asking
}

func (h *heard) tell(q auth.Asking) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, q)
}

func TestEveryIdentificationIsCountedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now changing
		now.become(yes)
		p, g := newPlace(), newTally()
		a := replica(t, now.ask, p, guarded(g))
		identify := func(a *auth.Authenticator, ctx context.Context, token auth.Token) {
			_, _ = a.Identify(ctx, "us", token, here)
		}
		good, bad := token, auth.NewToken("bad")
		identify(a, t.Context(), good) // asked
		identify(a, t.Context(), good) // known
		identify(a, t.Context(), good) // known
		synctest.Wait()
		b := replica(t, now.ask, p)
		identify(b, t.Context(), good) // shared
		now.become(no)
		identify(a, t.Context(), bad) // refused
		identify(a, t.Context(), bad) // refused a moment ago
		g.block(here)
		identify(a, t.Context(), auth.NewToken("other")) // guessing
		now.become(silent)
		gone, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		identify(b, gone, auth.NewToken("left"))             // left
		identify(b, t.Context(), auth.NewToken("no answer")) // unavailable, for the asking's own deadline
		pass(2 * ttl)
		identify(b, t.Context(), good) // stale
		want := auth.Counts{Asked: 1, Known: 2, Refused: 2, Guessing: 1}
		if diff := cmp.Diff(want, a.Counts()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(auth.Counts{Shared: 1, Left: 1, Unavailable: 1, Stale: 1}, b.Counts()); diff != "" {
			t.Errorf("the other (-want +got):\n%s", diff)
		}
	})
}

func TestAskingsAreToldWithTheirAnswer(t *testing.T) {
	limited := func(_ context.Context, plane string, _ auth.Token) (*auth.Principal, error) {
		return nil, &auth.UnavailableError{Plane: plane, Cause: http.ErrBodyNotAllowed, Limited: true}
	}
	for want, ask := range map[string]asker{"named": yes, "refused": no, "limited": limited, "failed": silent, "unhelpful": failing} {
		synctest.Test(t, func(t *testing.T) {
			h := &heard{}
			a := newAuthenticator(t, after(time.Second, ask), func(o *auth.Options) { o.OnAsked = h.tell })
			_, _ = a.Identify(t.Context(), "us", token, "")
			_, _ = a.Identify(t.Context(), "us", token, "")
			a.Close()
			if len(h.all) == 0 || h.all[0].Plane != "us" || h.all[0].Result != want || h.all[0].Took < time.Second || h.all[0].Took > timeout {
				t.Errorf("told %+v, want %s", h.all, want)
			}
			if want == "named" && len(h.all) != 1 {
				t.Errorf("told %d askings, want 1", len(h.all))
			}
		})
	}
}

func TestIdentitiesAreCountedWhereNobodyIsTold(t *testing.T) {
	a := newAuthenticator(t, yes)
	if _, err := a.Identify(t.Context(), "us", token, ""); errors.Is(err, auth.ErrBadToken) || a.Counts().Asked != 1 {
		t.Errorf("%v, %+v", err, a.Counts())
	}
}
