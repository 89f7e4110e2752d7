package broker_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"osgate/auth"
	"osgate/auth/broker"
)

// planned is a directory whose answer is planned.
type planned struct {
	lookups atomic.Int64
	answer  func(ctx context.Context) (auth.Identity, error)
}

func (p *planned) Identify(ctx context.Context, _ string, _ auth.Token, _ string) (auth.Identity, error) {
	p.lookups.Add(1)
	return p.answer(ctx)
}

// identifier returns an Identifier for JWTs, closed when the test ends.
func (p *planned) identifier(t testing.TB, tokens *broker.Tokens) *broker.Identifier {
	t.Helper()
	i, err := broker.NewIdentifier(broker.IdentifierOptions{
		Methods: []broker.Method{newMethod(auth.ByJWT)}, Tokens: tokens, Directory: p,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.Close)
	return i
}

// TestAnEarlierAnswerIsReplacedSoon: the organizations of a control plane that is down
// are used, and looked up again every ten seconds.
func TestAnEarlierAnswerIsReplacedSoon(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		d := &planned{answer: func(context.Context) (auth.Identity, error) {
			return auth.Identity{Principal: &auth.Principal{Organizations: []string{"org-root"}}, Stale: true}, nil
		}}
		i := d.identifier(t, tokens)
		if id, err := i.Identify(t.Context(), "us", bearer("a.b.c"), ""); err != nil || !id.Member("org-root") {
			t.Fatalf("%+v, %v", id, err)
		}
		for range 60 {
			pass(time.Second)
			i.Recall(t.Context(), "us", bearer("a.b.c"), "")
		}
		if n := d.lookups.Load(); n != 6 {
			t.Errorf("%d lookups in a minute, want 6", n)
		}
	})
}

// TestALookupEndsInTime: a control plane that is silent is unavailable after fifteen
// seconds. The end of the lookup is not that of the caller's request.
func TestALookupEndsInTime(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		d := &planned{answer: func(ctx context.Context) (auth.Identity, error) {
			<-ctx.Done()
			return auth.Identity{}, ctx.Err()
		}}
		i := d.identifier(t, tokens)
		began := time.Now()
		_, err := i.Identify(t.Context(), "us", bearer("a.b.c"), "")
		failure, ok := errors.AsType[*auth.UnavailableError](err)
		if !ok || failure.Plane != "us" || failure.RetryAfter != time.Second || time.Since(began) != 15*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

// TestAfterCloseNothingIsLookedUp, and the caller is not refused.
func TestAfterCloseNothingIsLookedUp(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		d := &planned{}
		i := d.identifier(t, tokens)
		i.Close()
		_, err := i.Identify(t.Context(), "us", bearer("a.b.c"), "")
		if failure, ok := errors.AsType[*auth.UnavailableError](err); !ok || failure.Plane != "us" || d.lookups.Load() != 0 {
			t.Errorf("%v after %d lookups", err, d.lookups.Load())
		}
	})
}

// TestARefusedOwnTokenHasATimeToRetry: the control plane refuses each new token.
func TestARefusedOwnTokenHasATimeToRetry(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		d := &planned{answer: func(context.Context) (auth.Identity, error) { return auth.Identity{}, auth.ErrBadToken }}
		_, err := d.identifier(t, tokens).Identify(t.Context(), "us", bearer("a.b.c"), "")
		failure, ok := errors.AsType[*broker.CredentialError](err)
		if !ok || failure.Plane != "us" || failure.RetryAfter != time.Second || d.lookups.Load() != 2 {
			t.Errorf("%v after %d lookups", err, d.lookups.Load())
		}
		w.expectMints(t, 2)
	})
}

// TestRememberedRefusalsAreBounded: those beyond the bound are not known as repetitions
// and count against their address.
func TestRememberedRefusalsAreBounded(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		const most = 1 << 16
		guard := &counter{}
		i := w.identifier(t, tokens, guard, newMethod(auth.ByJWT))
		identify := func(n int) {
			_, err := i.Identify(t.Context(), "us", bearer(fmt.Sprintf("bad%d.b.c", n)), "here")
			if !errors.Is(err, auth.ErrBadToken) {
				t.Fatal(err)
			}
		}
		for n := range most + 1 {
			identify(n)
		}
		identify(most)     // is not remembered
		identify(most - 1) // is
		if got, want := guard.String(), fmt.Sprintf("here=%d here*=1", most+2); got != want {
			t.Errorf("charged %q, want %q", got, want)
		}
	})
}
