package broker_test

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"osgate/auth"
	"osgate/auth/broker"
)

// TestStatesNameEachPlaneInUse, sorted, with the end of its token.
func TestStatesNameEachPlaneInUse(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		if got := tokens.States(); len(got) != 0 {
			t.Errorf("before the first use: %+v", got)
		}
		began := time.Now()
		must(t, tokens)
		if _, err := tokens.Token(t.Context(), "eu"); err != nil {
			t.Fatal(err)
		}
		got := tokens.States()
		if len(got) != 2 || got[0].Plane != "eu" || got[1].Plane != "us" {
			t.Fatalf("%+v", got)
		}
		if s := got[1]; !s.OK || s.Reason != "" || s.LastError != "" || !s.Expires.Equal(began.Add(time.Hour)) || !s.Since.Equal(began) || s.RetryAfter != 0 {
			t.Errorf("%+v", s)
		}
		pass(2 * time.Hour) // the token ended, and nobody needs one
		if s := tokens.States()[1]; !s.OK || !s.Expires.IsZero() {
			t.Errorf("idle: %+v", s)
		}
	})
}

// TestAFailureIsInTheState with its time and its error.
func TestAFailureIsInTheState(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		w.answer(http.StatusBadGateway, "")
		if _, err := tokens.Token(t.Context(), "us"); err == nil {
			t.Fatal("a token")
		}
		began := time.Now()
		pass(500 * time.Millisecond)
		s := tokens.States()[0]
		if s.OK || s.Reason != broker.Unavailable || !s.Since.Equal(began) || !s.Expires.IsZero() ||
			s.LastError != "control plane us is not available: anypoint.mulesoft.com answered 502" ||
			s.RetryAfter <= 300*time.Millisecond || s.RetryAfter > 500*time.Millisecond {
			t.Errorf("%+v", s)
		}
		w.answer(0, "")
		pass(2 * time.Second)
		w.expectReported(t, "us down unavailable", "us ok")
		if s := tokens.States()[0]; !s.OK || s.LastError != "" {
			t.Errorf("%+v", s)
		}
	})
}

// TestASuccessEndsTheSeriesOfFailures: the next one is repeated soon again.
func TestASuccessEndsTheSeriesOfFailures(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		for range 2 {
			w.answer(http.StatusBadGateway, "")
			_, err := tokens.Token(t.Context(), "us")
			failure, ok := errors.AsType[*auth.UnavailableError](err)
			if !ok || failure.RetryAfter > time.Second {
				t.Fatalf("the first failure: %v", err)
			}
			pass(time.Minute)
			w.answer(0, "")
			pass(time.Minute)
			tokens.Refused("us", must(t, tokens))
			pass(2 * time.Minute)
		}
	})
}

// TestAnEndpointThatNeverAnswers is unavailable after the timeout.
func TestAnEndpointThatNeverAnswers(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		silent := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-time.After(10 * time.Second) })
		w.instead.Store(&silent)
		began := time.Now()
		_, err := tokens.Token(t.Context(), "us")
		if _, ok := errors.AsType[*auth.UnavailableError](err); !ok || time.Since(began) != 5*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		tokens.Close()
		pass(10 * time.Second) // its server ends
	})
}

// TestANewSecretNeedsNoRequest: a plane without traffic recovers too. It does not
// shorten a wait that the endpoint requested.
func TestANewSecretNeedsNoRequest(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		w.use("wrong")
		if _, err := tokens.Token(t.Context(), "us"); err == nil {
			t.Fatal("a token")
		}
		pass(10 * time.Minute)
		w.use("secret-one")
		pass(1100 * time.Millisecond)
		w.expectReported(t, "us down client-refused", "us ok")

		w.use("wrong")
		tokens.Refused("us", must(t, tokens))
		if _, err := tokens.Token(t.Context(), "us"); err == nil {
			t.Fatal("a token")
		}
		w.answer(http.StatusTooManyRequests, "", "Retry-After", "120")
		pass(5 * time.Second)
		mints := w.mints.Load()
		w.use("secret-one")
		pass(100 * time.Second)
		w.expectMints(t, mints)
	})
}

// TestARefusedClientIsTheReason also after upstream refused tokens.
func TestARefusedClientIsTheReason(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		tokens.Refused("us", must(t, tokens))
		tokens.Refused("us", must(t, tokens))
		w.use("wrong")
		pass(2 * time.Second)
		if _, err := tokens.Token(t.Context(), "us"); err == nil {
			t.Error("a token")
		}
		w.expectReported(t, "us down token-refused", "us down client-refused")
	})
}

// TestARefusedOperationIsInTheState with its environment, for five minutes after the
// last one, and causes no mint.
func TestARefusedOperationIsInTheState(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		one, two := broker.Place{Organization: "o", Environment: "one"}, broker.Place{Organization: "o", Environment: "two"}
		tokens.Forbidden("us", one) // of a plane that is not in use
		token := must(t, tokens)
		wantForbidden := func(want ...broker.Place) {
			t.Helper()
			if s := tokens.States()[0]; !s.OK || s.Reason != "" || !slices.Equal(s.Forbidden, want) {
				t.Errorf("%+v, want %v", s, want)
			}
		}
		wantForbidden()
		tokens.Forbidden("us", two)
		for range 10 {
			tokens.Forbidden("us", one)
			pass(time.Minute)
		}
		wantForbidden(one) // two was forgotten after five minutes
		w.expectReported(t, "us ok in two", "us ok in one two", "us ok in one")
		pass(4*time.Minute - time.Second)
		wantForbidden(one)
		pass(time.Second)
		wantForbidden()
		w.expectReported(t, "us ok in two", "us ok in one two", "us ok in one", "us ok")
		if !must(t, tokens).Equal(token) {
			t.Error("a new token")
		}
		w.expectMints(t, 1)
	})
}

// TestClientsThatInventEnvironmentsFillNoMemory: eight are remembered and reported.
func TestClientsThatInventEnvironmentsFillNoMemory(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		must(t, tokens)
		for n := range 1000 {
			tokens.Forbidden("us", broker.Place{Organization: "o", Environment: strconv.Itoa(n)})
		}
		if s := tokens.States()[0]; len(s.Forbidden) != 8 || s.Forbidden[7].Environment != "7" {
			t.Errorf("%v", s.Forbidden)
		}
		if n := len(w.reported()); n != 8 {
			t.Errorf("%d changes were reported", n)
		}
		pass(5 * time.Minute)
		later := broker.Place{Organization: "o", Environment: "later"}
		tokens.Forbidden("us", later)
		if s := tokens.States()[0]; !slices.Equal(s.Forbidden, []broker.Place{later}) {
			t.Errorf("after five minutes: %v", s.Forbidden)
		}
	})
}

// TestA429IsObeyed, also with a new secret.
func TestA429IsObeyed(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		w.answer(http.StatusTooManyRequests, "", "Retry-After", "120")
		_, err := tokens.Token(t.Context(), "us")
		failure, ok := errors.AsType[*auth.UnavailableError](err)
		if !ok || !failure.Limited || failure.RetryAfter != 2*time.Minute {
			t.Fatalf("got %v", err)
		}
		w.answer(0, "")
		w.use("another")
		w.use("secret-one")
		for range 119 {
			pass(time.Second)
			if _, err := tokens.Token(t.Context(), "us"); err == nil {
				t.Fatal("a mint before Retry-After")
			}
		}
		w.expectMints(t, 1)
		pass(time.Second)
		w.expectMints(t, 2)
		must(t, tokens)
	})
}

// TestALifeThatIsNotStatedIsAQuarterOfAnHour.
func TestALifeThatIsNotStatedIsAQuarterOfAnHour(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		w.answer(http.StatusOK, `{"access_token":"t"}`)
		began := time.Now()
		must(t, tokens)
		if s := tokens.States()[0]; !s.Expires.Equal(began.Add(15 * time.Minute)) {
			t.Errorf("%+v", s)
		}
	})
}

// TestASecretThatCannotBeRead is the gateway's fault, and is read again.
func TestASecretThatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var fail atomic.Bool
		fail.Store(true)
		tokens := w.tokens(t, func(o *broker.Options) {
			secret := o.Secret
			o.Secret = func() (string, error) {
				if fail.Load() {
					return "", errors.New("no such file")
				}
				return secret()
			}
		})
		_, err := tokens.Token(t.Context(), "us")
		if _, ok := errors.AsType[*broker.CredentialError](err); !ok {
			t.Fatalf("got %v", err)
		}
		w.expectMints(t, 0)
		w.expectReported(t, "us down client-refused")
		fail.Store(false)
		pass(time.Second)
		must(t, tokens)
	})
}

// TestARevokedTokenAndAnOldSecret: callers get the credential's error, and a new secret
// is used within a second.
func TestARevokedTokenAndAnOldSecret(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		token := must(t, tokens)
		if _, err := w.SetSecret("app-one", "fresh"); err != nil {
			t.Fatal(err)
		}
		w.RevokeTokens("app-one")
		tokens.Refused("us", token)
		for range 100 {
			pass(time.Second)
			if _, err := tokens.Token(t.Context(), "us"); err == nil {
				t.Fatal("a token with the old secret")
			}
		}
		if n := w.mints.Load(); n > 12 {
			t.Errorf("%d mints", n)
		}
		if n := w.reads.Load(); n < 90 || n > 110 {
			t.Errorf("%d readings of the secret", n)
		}
		w.use("fresh")
		pass(1100 * time.Millisecond)
		must(t, tokens)
		w.expectReported(t, "us down client-refused", "us ok")
	})
}

// TestAfterCloseNothingIsMinted, and the token in use stays.
func TestAfterCloseNothingIsMinted(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		token := must(t, tokens)
		w.answer(http.StatusBadGateway, "")
		if _, err := tokens.Token(t.Context(), "eu"); err == nil {
			t.Fatal("a token")
		}
		tokens.Forbidden("us", broker.Place{Environment: "e"})
		tokens.Close()
		mints := w.mints.Load()
		pass(50 * time.Minute)
		if !must(t, tokens).Equal(token) {
			t.Error("another token")
		}
		_, err := tokens.Token(t.Context(), "eu")
		if _, ok := errors.AsType[*auth.UnavailableError](err); !ok {
			t.Errorf("got %v", err)
		}
		pass(time.Hour)
		tokens.Forbidden("us", broker.Place{Environment: "late"})
		if s := tokens.States()[1]; len(s.Forbidden) > 0 {
			t.Errorf("%+v", s)
		}
		w.expectMints(t, mints)
		w.expectReported(t, "eu down unavailable", "us ok in e")
	})
}

// TestOptionsThatCannotWorkAreRefused.
func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	if _, err := broker.NewTokens(broker.Options{}); err == nil {
		t.Error("Tokens without options")
	}
	if _, err := broker.NewIdentifier(broker.IdentifierOptions{}); err == nil {
		t.Error("an Identifier without options")
	}
}
