package broker_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"osgate/auth"
	"osgate/auth/broker"
	"osgate/emulator"
)

const mePath = "/accounts/api/me"

// requestsTo returns the number of requests that the emulator received at path.
func (w *world) requestsTo(path string) (n int) {
	for _, r := range w.Requests() {
		if r.Target == path {
			n++
		}
	}
	return n
}

// accountsFail makes all of Access Management answer 500, or nothing of it.
func (w *world) accountsFail(t testing.TB, fail bool) {
	t.Helper()
	f := emulator.Faults{On: []string{"accounts"}}
	if fail {
		f.Internal = 1
	}
	if err := w.SetFaults(f); err != nil {
		t.Fatal(err)
	}
}

// TestThousandCallersCauseOneLookup of the gateway's organizations.
func TestThousandCallersCauseOneLookup(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		d := &directory{world: w}
		i := d.identifier(t, tokens)
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() {
				if id, err := i.Identify(t.Context(), "us", bearer("a.b.c"), ""); err != nil || !id.Member("org-root") {
					t.Error(err)
				}
			})
		}
		all.Wait()
		w.expectMints(t, 1)
		if n := d.lookups.Load(); n != 1 {
			t.Errorf("%d lookups", n)
		}
	})
}

// isCredential reports whether err blames the gateway's credential alone.
func isCredential(err error) bool {
	_, credential := errors.AsType[*broker.CredentialError](err)
	_, unavailable := errors.AsType[*auth.UnavailableError](err)
	return credential && !unavailable && !errors.Is(err, auth.ErrBadToken)
}

// directory is a control plane that collapses no requests.
type directory struct {
	*world

	lookups atomic.Int64
}

// identifier returns an Identifier for JWTs, closed when the test ends.
func (d *directory) identifier(t testing.TB, tokens *broker.Tokens) *broker.Identifier {
	t.Helper()
	i, err := broker.NewIdentifier(broker.IdentifierOptions{
		Methods: []broker.Method{newMethod(auth.ByJWT)}, Tokens: tokens, Directory: d,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.Close)
	return i
}

func (d *directory) Identify(ctx context.Context, plane string, token auth.Token, _ string) (auth.Identity, error) {
	d.lookups.Add(1)
	answer, err := (&auth.Anypoint{Transport: d.transport, Endpoint: d.endpoint}).Lookup(ctx, plane, token)
	return auth.Identity{Principal: answer.Principal}, err //nolint:wrapcheck // a test's
}

// TestTheEndOfOneContextEndsNoLookup of the others, and is the error of its caller.
func TestTheEndOfOneContextEndsNoLookup(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		i := w.identifier(t, tokens, nil, newMethod(auth.ByJWT))
		if _, err := i.Identify(ended(t), "us", bearer("a.b.c"), ""); err == nil {
			t.Error("a caller whose context has ended got an identity")
		}
		synctest.Wait()
		if _, state, _ := i.Recall(t.Context(), "us", bearer("a.b.c"), ""); state != auth.Fresh {
			t.Errorf("the lookup has ended with its caller: %v", state)
		}
	})
}

// TestOrganizationsOutliveTheControlPlane: they are used while it is unavailable, and
// renewed in the background when it is back.
func TestOrganizationsOutliveTheControlPlane(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		jwt := newMethod(auth.ByJWT)
		jwt.life = 100 * time.Hour
		i := w.identifier(t, tokens, nil, jwt)
		if _, err := i.Identify(t.Context(), "us", bearer("a.b.c"), ""); err != nil {
			t.Fatal(err)
		}
		w.accountsFail(t, true)
		for range 24 * 60 {
			pass(time.Minute)
			id, state, _ := i.Recall(t.Context(), "us", bearer("a.b.c"), "")
			if state != auth.Fresh || !id.Member("org-sub") || id.Stale {
				t.Fatalf("%+v, %v", id, state)
			}
		}
		w.accountsFail(t, false)
		before := w.requestsTo(mePath)
		for range 3 {
			pass(time.Minute)
			i.Recall(t.Context(), "us", bearer("a.b.c"), "")
		}
		synctest.Wait()
		if n := w.requestsTo(mePath) - before; n < 1 || n > 4 {
			t.Errorf("%d lookups after the outage", n)
		}
	})
}

// TestOrganizationsAreRenewed about once a minute while they are in use.
func TestOrganizationsAreRenewed(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		d := &directory{world: w}
		i := d.identifier(t, tokens)
		if _, err := i.Identify(t.Context(), "us", bearer("a.b.c"), ""); err != nil {
			t.Fatal(err)
		}
		for range 600 {
			pass(time.Second)
			i.Recall(t.Context(), "us", bearer("a.b.c"), "")
		}
		if n := d.lookups.Load(); n < 9 || n > 11 {
			t.Errorf("%d lookups in ten minutes", n)
		}
	})
}

// TestAColdPlaneThatIsDownIsUnavailable, which is not the caller's fault; the caller is
// known meanwhile.
func TestAColdPlaneThatIsDownIsUnavailable(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		i := w.identifier(t, tokens, nil, newMethod(auth.ByJWT))
		w.accountsFail(t, true)
		_, err := i.Identify(t.Context(), "us", bearer("a.b.c"), "")
		if _, ok := errors.AsType[*auth.UnavailableError](err); !ok || errors.Is(err, auth.ErrBadToken) {
			t.Fatalf("got %v", err)
		}
		if _, state, _ := i.Recall(t.Context(), "us", bearer("a.b.c"), ""); state != auth.Stale {
			t.Errorf("the known caller is %v", state)
		}
		w.accountsFail(t, false)
		pass(15 * time.Second)
		if _, err := i.Identify(t.Context(), "us", bearer("a.b.c"), ""); err != nil {
			t.Errorf("after the outage: %v", err)
		}
	})
}

// TestARefusedGatewayIsNoBadToken: neither a wrong secret nor a revoked token of the
// gateway refuses a caller as such.
func TestARefusedGatewayIsNoBadToken(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		i := w.identifier(t, tokens, nil, newMethod(auth.ByJWT))
		must(t, tokens)
		w.RevokeTokens("app-one")
		if _, err := i.Identify(t.Context(), "us", bearer("a.b.c"), ""); err != nil {
			t.Errorf("with a revoked token: %v", err)
		}
		w.expectMints(t, 2)

		guard := &counter{}
		i = w.identifier(t, w.tokens(t), guard, newMethod(auth.ByJWT))
		w.answer(http.StatusOK, `{"access_token":"bogus","expires_in":3600}`)
		for range 3 {
			_, err := i.Identify(t.Context(), "us", bearer("a.b.c"), "address")
			if !isCredential(err) {
				t.Errorf("with bogus tokens: %v", err)
			}
		}
		w.use("wrong")
		w.answer(0, "")
		i = w.identifier(t, w.tokens(t), guard, newMethod(auth.ByJWT))
		_, err := i.Identify(t.Context(), "us", bearer("a.b.c"), "address")
		if !isCredential(err) {
			t.Errorf("with a wrong secret: %v", err)
		}
		if got := guard.String(); got != "" {
			t.Errorf("charged %s", got)
		}
	})
}
