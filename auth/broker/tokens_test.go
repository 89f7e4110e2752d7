package broker_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"osgate/auth"
	"osgate/auth/broker"
)

// TestThousandColdRequestsAreOneMint, and each plane has a token of its own.
func TestThousandColdRequestsAreOneMint(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() {
				if _, err := tokens.Token(t.Context(), "us"); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		w.expectMints(t, 1)
		us := must(t, tokens)
		eu, err := tokens.Token(t.Context(), "eu")
		if err != nil || eu.Equal(us) {
			t.Errorf("the token of another plane: %v", err)
		}
		w.expectMints(t, 2)
		w.expectReported(t)
	})
}

// TestTheEndOfOneContextEndsNoMint of the others.
func TestTheEndOfOneContextEndsNoMint(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		slow := http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
			<-time.After(time.Second)
			w.Emulator.ServeHTTP(out, r)
		})
		w.instead.Store(&slow)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		first := make(chan error, 1)
		go func() {
			_, err := tokens.Token(ctx, "us")
			first <- err
		}()
		synctest.Wait()
		must(t, tokens)
		if err := <-first; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the first caller got %v", err)
		}
		w.expectMints(t, 1)
		if _, err := tokens.Token(ended(t), "us"); err != nil {
			t.Errorf("a known token waits for a context: %v", err)
		}
	})
}

// TestATokenInUseIsReplacedAheadOfItsEnd, in the background.
func TestATokenInUseIsReplacedAheadOfItsEnd(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		first := must(t, tokens)
		pass(44 * time.Minute)
		must(t, tokens)
		synctest.Wait()
		w.expectMints(t, 1)
		pass(8 * time.Minute) // 52 of 60
		if !must(t, tokens).Equal(first) {
			t.Error("a caller waited for the renewal")
		}
		synctest.Wait()
		w.expectMints(t, 2)
		if must(t, tokens).Equal(first) {
			t.Error("the old token is still in use")
		}
		pass(3 * time.Hour) // nobody uses it
		w.expectMints(t, 2)
		must(t, tokens)
		w.expectMints(t, 3)
	})
}

// TestAFailedRenewalChangesNothing while the old token lives; then the endpoint is
// unavailable, and recovers without a request.
func TestAFailedRenewalChangesNothing(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		first := must(t, tokens)
		w.answer(http.StatusInternalServerError, "")
		for range 595 {
			pass(6 * time.Second)
			if !must(t, tokens).Equal(first) {
				t.Fatal("another token")
			}
		}
		w.expectReported(t, "us ok unavailable")
		if n := w.mints.Load(); n < 30 || n > 120 {
			t.Errorf("%d mints within a quarter of an hour", n)
		}
		pass(time.Minute)
		_, err := tokens.Token(t.Context(), "us")
		failure, ok := errors.AsType[*auth.UnavailableError](err)
		if !ok || failure.RetryAfter <= 0 || failure.RetryAfter > 10*time.Second {
			t.Fatalf("after its end: %v", err)
		}
		w.expectReported(t, "us ok unavailable", "us down unavailable")
		w.answer(0, "")
		pass(10 * time.Second)
		w.expectReported(t, "us ok unavailable", "us down unavailable", "us ok")
		must(t, tokens)
	})
}

// TestARevokedTokenIsMintedAgainOnce, however many requests it was refused for.
func TestARevokedTokenIsMintedAgainOnce(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		first := must(t, tokens)
		tokens.Accepted("us", first)
		pass(10 * time.Second)
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				tokens.Refused("us", first)
				if must(t, tokens).Equal(first) {
					t.Error("the refused token is still in use")
				}
			})
		}
		all.Wait()
		second := must(t, tokens)
		tokens.Refused("us", first) // an answer that was late
		if !must(t, tokens).Equal(second) {
			t.Error("a refusal of the old token dropped the new one")
		}
		w.expectMints(t, 2)
		w.expectReported(t)
	})
}

// TestARefusedTokenIsForgotten after the next token was in use for a while: a token that is
// revoked now and then costs no request a refusal.
func TestARefusedTokenIsForgotten(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		for range 10 {
			tokens.Refused("us", must(t, tokens))
			must(t, tokens)
			pass(2 * time.Minute)
		}
		w.expectMints(t, 11)
		w.expectReported(t)
	})
}

// TestAnUpstreamThatRefusesAllTokensCostsFewMints: after the second refusal callers get
// an error until a retry is due.
func TestAnUpstreamThatRefusesAllTokensCostsFewMints(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		errs := 0
		for range 600 { // ten minutes, a request each second
			token, err := tokens.Token(t.Context(), "us")
			if failure, ok := errors.AsType[*broker.CredentialError](err); ok {
				if errs++; failure.RetryAfter <= 0 || failure.RetryAfter > 30*time.Second {
					t.Fatalf("retry after %v", failure.RetryAfter)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			tokens.Refused("us", token)
			pass(time.Second)
		}
		if n := w.mints.Load(); n < 20 || n > 32 || errs < 500 {
			t.Errorf("%d mints, %d errors", n, errs)
		}
		w.expectReported(t, "us down token-refused")
		pass(time.Minute)
		token := must(t, tokens)
		w.expectReported(t, "us down token-refused")
		tokens.Accepted("us", token)
		w.expectReported(t, "us down token-refused", "us ok")
	})
}

// TestA401ToSomeRequestsDropsNoGoodToken more often than once per interval.
func TestA401ToSomeRequestsDropsNoGoodToken(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		for range 6000 { // ten minutes
			token := must(t, tokens)
			tokens.Accepted("us", token)
			tokens.Refused("us", token)
			pass(100 * time.Millisecond)
		}
		if n := w.mints.Load(); n < 20 || n > 32 {
			t.Errorf("%d mints", n)
		}
		w.expectReported(t)
	})
}

// TestARotatedSecretIsUsedWithoutARestart, at once and without a failed call while the
// old token is valid.
func TestARotatedSecretIsUsedWithoutARestart(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		must(t, tokens)
		if _, err := w.SetSecret("app-one", "fresh"); err != nil {
			t.Fatal(err)
		}
		for range 58 * 60 {
			pass(time.Second)
			must(t, tokens)
		}
		w.expectReported(t, "us ok client-refused")
		if n := w.mints.Load(); n < 10 || n > 40 {
			t.Errorf("%d mints", n)
		}
		mints := w.mints.Load()
		w.use("fresh")
		pass(1100 * time.Millisecond)
		w.expectMints(t, mints+1)
		w.expectReported(t, "us ok client-refused", "us ok")
		pass(3 * time.Minute)
		must(t, tokens)
	})
}

// TestARefusedClientIsNoRefusedCaller.
func TestARefusedClientIsNoRefusedCaller(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		w.use("wrong")
		_, err := tokens.Token(t.Context(), "us")
		if _, ok := errors.AsType[*broker.CredentialError](err); !ok || errors.Is(err, auth.ErrBadToken) {
			t.Fatalf("got %v", err)
		}
		for range 100 {
			_, err = tokens.Token(t.Context(), "us")
		}
		if failure, ok := errors.AsType[*broker.CredentialError](err); !ok || failure.RetryAfter <= 0 {
			t.Errorf("again: %v", err)
		}
		w.expectMints(t, 1)
		w.expectReported(t, "us down client-refused")
	})
}

// TestARefusedNewTokenIsReportedAtOnce, and the acceptance of an earlier token is
// not its own.
func TestARefusedNewTokenIsReportedAtOnce(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		first := must(t, tokens)
		tokens.Refused("us", first)
		second := must(t, tokens)
		w.expectReported(t)
		tokens.Refused("us", second)
		w.expectReported(t, "us down token-refused")
		pass(2 * time.Second)
		third := must(t, tokens)
		tokens.Accepted("us", second)
		tokens.Accepted("eu", third)
		w.expectReported(t, "us down token-refused")
		tokens.Accepted("us", third)
		w.expectReported(t, "us down token-refused", "us ok")
	})
}
