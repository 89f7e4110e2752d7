package auth_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"osgate/auth"
)

// lookupLog collects the lookups that an authenticator reports.
type lookupLog struct {
	mu  sync.Mutex // guards the fields below
	all []auth.Lookup
}

func (h *lookupLog) tell(q auth.Lookup) {
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
		identify(b, t.Context(), auth.NewToken("no answer")) // unavailable: the lookup reached its timeout
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

// TestLookupsAreReportedWithTheirAnswer and with their plane and duration, each once.
func TestLookupsAreReportedWithTheirAnswer(t *testing.T) {
	limited := func(_ context.Context, plane string, _ auth.Token) (*auth.Principal, error) {
		return nil, &auth.UnavailableError{Plane: plane, Cause: http.ErrBodyNotAllowed, Limited: true}
	}
	for i, tt := range []struct {
		ask  resolverFunc
		want string
	}{{yes, "named"}, {no, "refused"}, {unclear, "unclear"}, {limited, "limited"}, {failing, "unhelpful"}, {silent, "failed"}} {
		synctest.Test(t, func(t *testing.T) {
			h := &lookupLog{}
			a := newAuthenticator(t, func(ctx context.Context, plane string, token auth.Token) (*auth.Principal, error) {
				takes := map[string]time.Duration{"us": time.Second, "eu": 3 * time.Second}[plane]
				return after(takes, tt.ask)(ctx, plane, token)
			}, func(o *auth.Options) { o.OnLookup, o.Timeout = h.tell, time.Duration(4+i)*time.Second })
			want := []auth.Lookup{{Plane: "us", Took: time.Second, Result: tt.want}, {Plane: "eu", Took: 3 * time.Second, Result: tt.want}}
			if tt.want == "failed" { // at the timeout of the lookup
				want[0].Took, want[1].Took = time.Duration(4+i)*time.Second, time.Duration(4+i)*time.Second
			}
			for _, asking := range want {
				_, _ = a.Identify(t.Context(), asking.Plane, token, "")
			}
			a.Close()
			if diff := cmp.Diff(want, h.all); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.want, diff)
			}
		})
	}
}

// lookingGuard is a guard that completes a lookup while it is called.
type lookingGuard struct{ find func() }

func (g lookingGuard) Blocked(string) time.Duration {
	g.find()
	return 0
}

func (lookingGuard) Failed(context.Context, string) {}

// TestTokenKnownWhileWaitingCountsAsKnown for a caller that did not wait for it.
func TestTokenKnownWhileWaitingCountsAsKnown(t *testing.T) {
	var a *auth.Authenticator
	a = newAuthenticator(t, yes, guarded(lookingGuard{func() { _, _ = a.Identify(t.Context(), "us", token, "") }}))
	if id, err := a.Identify(t.Context(), "us", token, here); err != nil || id.Stale {
		t.Errorf("%+v, %v", id, err)
	}
	if diff := cmp.Diff(auth.Counts{Asked: 1, Known: 1}, a.Counts()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestIdentitiesAreCountedWithoutAnObserver(t *testing.T) {
	a := newAuthenticator(t, yes)
	if _, err := a.Identify(t.Context(), "us", token, ""); err != nil || a.Counts() != (auth.Counts{Asked: 1}) {
		t.Errorf("%v, %+v", err, a.Counts())
	}
}
