package oidc_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"osgate/auth"
	"osgate/auth/oidc"
)

// TestAThousandNewTokensShareOneFetch before there are keys.
func TestAThousandNewTokensShareOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newKey(t, "a")
		is := newIssuer(t, key)
		is.become(func(http.ResponseWriter, *http.Request) bool { pass(time.Second); return false })
		v := newVerifier(t, is)
		token := key.token(t, is.claims(nil))
		var group sync.WaitGroup
		for range 1000 {
			group.Go(func() {
				if caller, err := v.Verify(t.Context(), token); err != nil || caller.Name != "app" {
					t.Errorf("Verify = %q, %v", caller.Name, err)
				}
			})
		}
		group.Wait()
		if n := is.attempts(); n != 2 {
			t.Errorf("the issuer received %d requests, want 2", n)
		}
	})
}

// TestANewKeyIsFoundAtOnce, without a restart: the first token with it causes a fetch.
// Tokens with the former key stay good while that is published.
func TestANewKeyIsFoundAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := newKey(t, "a"), newKey(t, "b")
		is := newIssuer(t, first)
		v := newVerifier(t, is)
		token := first.token(t, is.claims(nil))
		wantCaller(t, v, token)
		pass(interval)
		is.publish(first, second)
		wantCaller(t, v, second.token(t, is.claims(nil)))
		wantFetches(t, is, 2)
		wantKnown(t, v, token, true)
		wantCaller(t, v, first.token(t, is.claims(object{"azp": "other"})))
		wantFetches(t, is, 2)
	})
}

// TestUnknownKeysCauseOneFetchInAnInterval, also under many names.
func TestUnknownKeysCauseOneFetchInAnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newKey(t, "a")
		is := newIssuer(t, key)
		v := newVerifier(t, is)
		wantCaller(t, v, key.token(t, is.claims(nil)))
		began := time.Now()
		for i := range 600 {
			foreign := &signer{fmt.Sprint("random", i), key.algorithm, key.private}
			wantRefused(t, v, foreign.token(t, is.claims(nil)), oidc.ReasonUnknownKey)
			wantRefused(t, v, foreign.token(t, is.claims(object{"azp": "other"})), oidc.ReasonUnknownKey)
			pass(100 * time.Millisecond)
		}
		if got, want := is.fetches(), 1+int(time.Since(began)/interval); got > want || got < want-1 {
			t.Errorf("the keys were fetched %d times, want %d", got, want)
		}
		late := newKey(t, "late")
		is.publish(key, late)
		token := late.token(t, is.claims(nil))
		for range 2 { // at once or, because of the flood, an interval later
			if _, err := v.Verify(t.Context(), token); err == nil {
				return
			}
			pass(interval)
		}
		t.Error("a key that was published during the flood is not found after an interval")
	})
}

// TestAnUnknownKeyIsLookedForAgain as soon as a fetch is allowed, not an interval after
// its refusal.
func TestAnUnknownKeyIsLookedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key, second := newKey(t, "a"), newKey(t, "b")
		is := newIssuer(t, key)
		v := newVerifier(t, is)
		wantCaller(t, v, key.token(t, is.claims(nil)))
		pass(interval - time.Second)
		token := second.token(t, is.claims(nil))
		wantRefused(t, v, token, oidc.ReasonUnknownKey)
		is.publish(key, second)
		pass(time.Second)
		wantCaller(t, v, token)
		wantFetches(t, is, 2)
	})
}

// TestUnknownKeysWaitForOneFetch if they come at the same time.
func TestUnknownKeysWaitForOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key, second := newKey(t, "a"), newKey(t, "b")
		is := newIssuer(t, key)
		v := newVerifier(t, is)
		wantCaller(t, v, key.token(t, is.claims(nil)))
		pass(interval)
		is.publish(key, second)
		is.become(func(http.ResponseWriter, *http.Request) bool { pass(time.Second); return false })
		tokens := make([]auth.Token, 100)
		for i := range tokens {
			tokens[i] = second.token(t, is.claims(object{"azp": fmt.Sprint("app ", i)}))
		}
		var group sync.WaitGroup
		for _, token := range tokens {
			group.Go(func() {
				if _, err := v.Verify(t.Context(), token); err != nil {
					t.Errorf("Verify: %v", err)
				}
			})
		}
		group.Wait()
		wantFetches(t, is, 2)
	})
}

// TestABadSignatureCausesNoFetch: only the names of keys that are not known do.
func TestABadSignatureCausesNoFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key, foreign := newKey(t, "a"), newKey(t, "a")
		is := newIssuer(t, key)
		v := newVerifier(t, is)
		for i := range 100 {
			pass(interval / 5)
			token := foreign.token(t, is.claims(object{"azp": fmt.Sprint(i)}))
			wantRefused(t, v, token, oidc.ReasonSignature)
			wantRefused(t, v, token, oidc.ReasonSignature)
		}
		wantFetches(t, is, 1)
	})
}

// TestAWithdrawnKeyEnds with the next refresh, and with it all callers that it
// identified, known ones too: no later than Refresh after the last fetch that found it.
func TestAWithdrawnKeyEnds(t *testing.T) {
	for name, use := range map[string]time.Duration{"in use": time.Minute, "idle": refresh} {
		fetches := 2
		if name == "in use" {
			fetches++ // it ends ahead of time, and is an unknown key then
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				first, second := newKey(t, "a"), newKey(t, "b")
				is := newIssuer(t, first, second)
				v := newVerifier(t, is)
				claims := is.claims(object{"exp": time.Now().Add(100 * time.Hour).Unix()})
				token, other := first.token(t, claims), second.token(t, claims)
				began := time.Now()
				wantCaller(t, v, token)
				wantCaller(t, v, other)
				is.publish(second)
				for time.Since(began) < refresh {
					if _, ok := v.Known(token); !ok && is.fetches() == 1 {
						t.Fatalf("after %v the token is not known, without a fetch", time.Since(began))
					}
					pass(use)
				}
				wantRefused(t, v, token, oidc.ReasonUnknownKey)
				wantCaller(t, v, other)
				wantFetches(t, is, fetches)
			})
		})
	}
}

// TestAKeyThatComesBackIsGoodAgain, and those that stayed were good all the time.
func TestAKeyThatComesBackIsGoodAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := newKey(t, "a"), newKey(t, "b")
		is := newIssuer(t, first, second)
		v := newVerifier(t, is)
		claims := is.claims(object{"exp": time.Now().Add(100 * time.Hour).Unix()})
		token, other := first.token(t, claims), second.token(t, claims)
		wantCaller(t, v, token)
		wantCaller(t, v, other)
		is.publish(second, second)
		pass(interval)
		wantRefused(t, v, newKey(t, "unknown").token(t, claims), oidc.ReasonUnknownKey)
		wantRefused(t, v, token, oidc.ReasonUnknownKey)
		wantKnown(t, v, other, true)
		is.publish(first, second)
		pass(interval)
		wantCaller(t, v, token)
		wantKnown(t, v, other, true)
	})
}

// TestKeysAreRenewedAheadWhileInUse: no request waits for it.
func TestKeysAreRenewedAheadWhileInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newKey(t, "a")
		is := newIssuer(t, key)
		v := newVerifier(t, is)
		token := key.token(t, is.claims(object{"exp": time.Now().Add(100 * time.Hour).Unix()}))
		wantCaller(t, v, token)
		is.become(func(http.ResponseWriter, *http.Request) bool { pass(time.Second); return false })
		for range 100 {
			for range 10 {
				wantKnown(t, v, token, true)
			}
			pass(refresh / 20)
		}
		// Five lives, of which each ends after 70 to 95 of 100 parts.
		if n := is.fetches(); n < 5 || n > 8 {
			t.Errorf("the keys were fetched %d times in 5 h", n)
		}
		n := is.fetches()
		pass(100 * refresh)
		wantFetches(t, is, n) // they are not in use
	})
}

// TestAKeyOfTheSameNameIsAnotherKey: refusals by the former one do not stay.
func TestAKeyOfTheSameNameIsAnotherKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := newKey(t, "a"), newKey(t, "a")
		is := newIssuer(t, first)
		v := newVerifier(t, is)
		token := second.token(t, is.claims(nil))
		former := first.token(t, is.claims(nil))
		wantCaller(t, v, former)
		pass(interval / 2)
		wantRefused(t, v, token, oidc.ReasonSignature)
		is.publish(second)
		pass(interval / 2) // the refusal is younger than an interval
		wantRefused(t, v, newKey(t, "unknown").token(t, is.claims(nil)), oidc.ReasonUnknownKey)
		wantCaller(t, v, token)
		wantRefused(t, v, former, oidc.ReasonSignature)
	})
}

// TestTokensWithoutAKidAreTriedWithAllFittingKeys, but with no more than four.
func TestTokensWithoutAKidAreTriedWithAllFittingKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		name := kids()
		keys := []*signer{
			newKeyFor(t, name(), "RS256"), newKey(t, name()), newKey(t, name()), newKey(t, name()),
			newKeyFor(t, name(), "EdDSA"), newKey(t, name()),
		}
		is := newIssuer(t, keys...)
		v := newVerifier(t, is)
		nameless := func(s *signer) auth.Token {
			return s.token(t, is.claims(nil), object{"kid": nil})
		}
		for _, key := range keys {
			wantCaller(t, v, nameless(key))
		}
		wantFetches(t, is, 1)
		late := newKey(t, "")
		wantRefused(t, v, nameless(late), oidc.ReasonSignature)
		wantFetches(t, is, 1)
		is.publish(late)
		pass(interval)
		wantCaller(t, v, nameless(late))
		wantFetches(t, is, 2)
		pass(interval)
		is.publish(late, keys[1], keys[2], keys[3], keys[5])
		wantRefused(t, v, nameless(keys[1]), oidc.ReasonUnknownKey)
		wantCaller(t, v, keys[1].token(t, is.claims(nil)))
	})
}

// TestKnownKeysWorkWhileTheIssuerIsUnreachable, for hours: known tokens without a wait,
// and new ones. A token with an unknown key is neither accepted nor refused.
func TestKnownKeysWorkWhileTheIssuerIsUnreachable(t *testing.T) {
	silent := func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }
	for name, away := range map[string]func(http.ResponseWriter, *http.Request) bool{"500": down, "silent": silent} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				key, unknown := newKey(t, "a"), newKey(t, "b")
				is := newIssuer(t, key)
				v := newVerifier(t, is)
				claims := is.claims(object{"exp": time.Now().Add(100 * time.Hour).Unix()})
				token := key.token(t, claims)
				wantCaller(t, v, token)
				is.become(away)
				for i := range 5 * 60 {
					wantKnown(t, v, token, true)
					wantCaller(t, v, key.token(t, is.claims(object{"azp": fmt.Sprint(i)})))
					pass(time.Minute)
				}
				if failure := wantUnavailable(t, v, unknown.token(t, claims), is.URL); failure.RetryAfter <= 0 {
					t.Errorf("the failure has no time to retry: %+v", failure)
				}
				pass(20 * refresh) // idle: the next use waits for one fetch
				wantCaller(t, v, token)
				wantKnown(t, v, token, true)
				is.become(nil)
				is.publish(key, unknown)
				pass(interval + timeout)
				wantCaller(t, v, unknown.token(t, is.claims(nil)))
				wantKnown(t, v, token, true)
			})
		})
	}
}

// TestWithoutKeysNoTokenIsRefused, except for reasons that no key can change. The
// issuer receives no request before an interval has passed.
func TestWithoutKeysNoTokenIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newKey(t, "a")
		is := newIssuer(t, key)
		is.become(down)
		v := newVerifier(t, is)
		token := key.token(t, is.claims(nil))
		for range 10 {
			if failure := wantUnavailable(t, v, token, is.URL); failure.RetryAfter != interval {
				t.Errorf("retry after %v, want %v", failure.RetryAfter, interval)
			}
		}
		wantRefused(t, v, key.token(t, is.claims(object{"exp": 1})), oidc.ReasonExpired)
		pass(interval - 100*time.Millisecond)
		if failure := wantUnavailable(t, v, token, is.URL); failure.RetryAfter != time.Second {
			t.Errorf("retry after %v, want 1 s", failure.RetryAfter)
		}
		if n := is.attempts(); n != 1 {
			t.Errorf("the issuer received %d requests, want 1", n)
		}
		is.become(nil)
		pass(100 * time.Millisecond)
		wantCaller(t, v, token)
		wantRefused(t, v, newKey(t, "b").token(t, is.claims(nil)), oidc.ReasonUnknownKey)
	})
}

// TestARetryAfterOfTheIssuerIsObeyed, up to a minute.
func TestARetryAfterOfTheIssuerIsObeyed(t *testing.T) {
	for after, want := range map[string]time.Duration{"30": 30 * time.Second, "1": interval, "3000": time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			key := newKey(t, "a")
			is := newIssuer(t, key)
			is.become(func(w http.ResponseWriter, _ *http.Request) bool {
				w.Header().Set("Retry-After", after)
				w.WriteHeader(http.StatusTooManyRequests)
				return true
			})
			v := newVerifier(t, is)
			token := key.token(t, is.claims(nil))
			failure := wantUnavailable(t, v, token, is.URL)
			if failure.RetryAfter != want || !failure.Limited || failure.Unreached {
				t.Errorf("the failure is %+v, want a time of %v", failure, want)
			}
			is.become(nil)
			pass(want - time.Millisecond)
			_ = wantUnavailable(t, v, token, is.URL)
			pass(time.Millisecond)
			wantCaller(t, v, token)
		})
	}
}

// TestACallerLeavesWithItsContext, and the fetch continues for the others.
func TestACallerLeavesWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newKey(t, "a")
		is := newIssuer(t, key)
		is.become(func(http.ResponseWriter, *http.Request) bool { pass(time.Second); return false })
		v := newVerifier(t, is)
		token := key.token(t, is.claims(nil))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := v.Verify(ctx, token); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Verify: %v, want the error of the context", err)
		}
		wantCaller(t, v, token)
		wantFetches(t, is, 1)
	})
}

// TestAFetchEndsInTime if the issuer is silent, and the error reports that.
func TestAFetchEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newKey(t, "a")
		is := newIssuer(t, key)
		is.become(func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true })
		v, began := newVerifier(t, is), time.Now()
		failure := wantUnavailable(t, v, key.token(t, is.claims(nil)), is.URL)
		if d := time.Since(began); d != timeout || !failure.Unreached {
			t.Errorf("Verify waited for %v: %+v", d, failure)
		}
	})
}
