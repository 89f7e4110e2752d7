package auth_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"osgate/auth"
)

// keepsDropped is a place that ignores Drop.
type keepsDropped struct{ *organizationKey }

func (keepsDropped) Drop(context.Context, [32]byte) {}

// replica returns a gateway that shares identities in s.
func replica(t *testing.T, f resolverFunc, s auth.Shared, changes ...func(*auth.Options)) *auth.Authenticator {
	t.Helper()
	return newAuthenticator(t, f, append(changes, func(o *auth.Options) { o.Shared, o.Secret = s, []byte("the same for all, 32 bytes or more") })...)
}

func TestReplicasSendOneLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resolver, lookups := counted(after(time.Second, yes))
		p := newPlace()
		expect(t, replica(t, resolver, p), "us", token, "fresh")
		synctest.Wait()
		for _, age := range []time.Duration{time.Second, 2 * time.Second, 30 * time.Second} {
			b := replica(t, resolver, p)
			came := time.Now()
			id, err := b.Identify(t.Context(), "us", token, "")
			if err != nil || id.Stale || id.Age != age || id.Client != "client of "+token.Header() || time.Since(came) != 0 {
				t.Errorf("%+v, %v after %v; want age %v at once", id, err, time.Since(came), age)
			}
			pass(map[time.Duration]time.Duration{time.Second: time.Second, 2 * time.Second: 28 * time.Second}[age])
		}
		if got := lookups.Load(); got != 1 {
			t.Errorf("%d lookups for 4 replicas", got)
		}
		pass(40 * time.Second)
		expect(t, replica(t, resolver, p), "us", token, "fresh")
		if got := lookups.Load(); got != 2 {
			t.Errorf("%d lookups, want another one for an expired identity", got)
		}
		expect(t, replica(t, resolver, p), "eu", token, "fresh")
		if got := lookups.Load(); got != 3 {
			t.Errorf("%d lookups, want again on another plane", got)
		}
	})
}

// named is a resolver with another validator.
type named struct {
	resolverFunc
	name string
}

func (n named) Validator(string) string { return n.name }

func TestAnswerOfOneValidatorCountsForNoOther(t *testing.T) {
	p := newPlace()
	hashes := map[[32]byte]string{}
	for _, name := range []string{"me https://anypoint.mulesoft.com", "introspect https://anypoint.mulesoft.com", "introspect https://elsewhere.example", ""} {
		resolver, lookups := counted(yes)
		a := replica(t, nil, p, func(o *auth.Options) { o.Resolver = named{resolver, name} })
		id, err := a.Identify(t.Context(), "us", token, "")
		if err != nil || lookups.Load() != 1 || hashes[id.Hash] != "" {
			t.Errorf("%q: %v, %d lookups, hash of %q", name, err, lookups.Load(), hashes[id.Hash])
		}
		hashes[id.Hash] = name + " "
		a.Close()
	}
}

func TestRefreshTakesTheYoungerYes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resolver, lookups := counted(yes)
		p := newPlace()
		replicas := []*auth.Authenticator{replica(t, resolver, p), replica(t, resolver, p), replica(t, resolver, p), replica(t, resolver, p)}
		const lasts = 20 * ttl
		for began := time.Now(); time.Since(began) < lasts; pass(100 * time.Millisecond) {
			for i, a := range replicas {
				came := time.Now()
				if got := outcome(a.Identify(t.Context(), "us", token, "")); got != "fresh" || time.Since(came) != 0 {
					t.Fatalf("replica %d: %s after %v", i, got, time.Since(came))
				}
				synctest.Wait()
			}
		}
		if got := lookups.Load(); got > int64(lasts/(ttl*70/100))+1 {
			t.Errorf("%d replicas sent %d lookups, want at most those of one replica", len(replicas), got)
		}
	})
}

// A refresh does not use the answer of another gateway if that is as old, or older.
func TestRefreshSendsALookupWithoutANewerSharedAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resolver, lookups := counted(yes)
		p := newPlace()
		a, b := replica(t, resolver, p), replica(t, resolver, p)
		expect(t, a, "us", token, "fresh")
		pass(2 * time.Second)
		b.Forget("us", token)
		synctest.Wait()
		expect(t, b, "us", token, "fresh")
		synctest.Wait()
		pass(ttl*90/100 - 2*time.Second)
		expect(t, a, "us", token, "fresh")
		synctest.Wait()
		if got := lookups.Load(); got != 3 {
			t.Errorf("%d lookups, want once more: the other's yes is to be renewed itself", got)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		var plane changing
		plane.become(yes)
		p := newPlace()
		expect(t, replica(t, plane.ask, p), "us", token, "fresh")
		synctest.Wait()
		resolver, lookups := counted(ending(time.Now().Add(30 * time.Second)))
		b := replica(t, resolver, p)
		pass(20 * time.Second)
		p.down = true
		expect(t, b, "us", token, "fresh")
		p.down = false
		pass(9 * time.Second)
		expect(t, b, "us", token, "fresh")
		synctest.Wait()
		if got := lookups.Load(); got != 2 {
			t.Errorf("%d lookups, want again: the other's yes is older", got)
		}
	})
}

func TestSharedYesIsForwardedWhileThePlaneIsDown(t *testing.T) {
	for name, down := range map[string]resolverFunc{"5xx": failing, "silent": silent} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var plane changing
				plane.become(yes)
				p := newPlace()
				expect(t, replica(t, plane.ask, p), "us", token, "fresh")
				pass(ttl)
				plane.become(down)
				expect(t, replica(t, plane.ask, p), "us", token, "stale")
				b := replica(t, plane.ask, p)
				trip(t, b)
				expect(t, b, "us", token, "stale")
				pass(stale)
				expect(t, b, "us", token, "unavailable")
				expect(t, replica(t, plane.ask, p), "us", token, "unavailable")
			})
		})
	}
}

func TestSharedPlaceIsNeverNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace()
		p.down = true
		resolver, lookups := counted(yes)
		for range 3 {
			expect(t, replica(t, resolver, p), "us", token, "fresh")
		}
		if got := lookups.Load(); got != 3 {
			t.Errorf("%d lookups", got)
		}
		synctest.Wait()
		if p.puts != 0 {
			t.Errorf("%d puts without knowing the place's clock", p.puts)
		}
	})
}

func TestOnlyGoodTokensAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace()
		expect(t, replica(t, no, p), "us", token, "refused")
		expect(t, replica(t, failing, p), "us", token, "unavailable")
		synctest.Wait()
		if p.puts != 0 || len(p.kept) != 0 {
			t.Errorf("%d puts, %d kept", p.puts, len(p.kept))
		}
	})
}

// Callers do not wait until their answer is shared, but Close does.
func TestCallersDoNotWaitForPut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace()
		p.slow = 40 * time.Millisecond
		a := replica(t, yes, p)
		came := time.Now()
		expect(t, a, "us", token, "fresh")
		if time.Since(came) != p.slow {
			t.Errorf("waited %v, want %v for the look", time.Since(came), p.slow)
		}
		a.Forget("us", auth.NewToken("another"))
		if time.Since(came) != p.slow {
			t.Error("Forget waits")
		}
		a.Close()
		if p.puts != 1 || p.drops != 1 || time.Since(came) != 2*p.slow {
			t.Errorf("closed after %v with %d puts, %d drops", time.Since(came), p.puts, p.drops)
		}
		a.Forget("us", token) // bounded by its effect on that place
	})
}

func TestLookingIsCollapsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace()
		p.slow = 40 * time.Millisecond
		a := replica(t, yes, p)
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() { expect(t, a, "us", token, "fresh") })
		}
		all.Wait()
		if p.gets != 1 {
			t.Errorf("looked %d times for 1000 callers", p.gets)
		}
	})
}

// A token that was revoked, doubted or refused here is not accepted again because a
// place still has it.
func TestSharedYesDoesNotComeBack(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, a *auth.Authenticator, plane *changing){
		"forgotten": func(_ *testing.T, a *auth.Authenticator, _ *changing) { a.Forget("us", token) },
		"doubted": func(t *testing.T, a *auth.Authenticator, _ *changing) {
			id, _ := a.Identify(t.Context(), "us", token, "")
			pass(negativeTTL)
			a.Doubt(id.Hash)
		},
		"refused": func(t *testing.T, a *auth.Authenticator, plane *changing) {
			plane.become(no)
			pass(ttl * 90 / 100)
			expect(t, a, "us", token, "fresh")
			synctest.Wait()
			expect(t, a, "us", token, "refused")
			pass(negativeTTL)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var plane changing
				plane.become(yes)
				p := keepsDropped{newPlace()}
				a := replica(t, plane.ask, p)
				expect(t, a, "us", token, "fresh")
				synctest.Wait()
				if len(p.kept) != 1 {
					t.Fatal("not shared")
				}
				end(t, a, &plane)
				plane.become(no)
				expect(t, a, "us", token, "refused")
				pass(negativeTTL)
				plane.become(failing)
				expect(t, a, "us", token, "unavailable")
				plane.become(yes)
				pass(time.Second)
				expect(t, a, "us", token, "fresh")
			})
		})
	}
}

// An identity that another gateway shared after the revocation counts.
func TestSharedYesFromAfterwardsIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace()
		resolver, lookups := counted(yes)
		a, b := replica(t, resolver, p), replica(t, resolver, p)
		expect(t, a, "us", token, "fresh")
		a.Forget("us", token)
		pass(time.Second)
		expect(t, b, "us", token, "fresh")
		synctest.Wait()
		expect(t, a, "us", token, "fresh")
		if got := lookups.Load(); got != 2 {
			t.Errorf("%d lookups, want once before and once after", got)
		}
	})
}

func TestEndOfATokenIsShared(t *testing.T) {
	for name, end := range map[string]func(a *auth.Authenticator, hash [32]byte){
		"forgotten": func(a *auth.Authenticator, _ [32]byte) { a.Forget("us", token) },
		"doubted":   func(a *auth.Authenticator, hash [32]byte) { a.Doubt(hash) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPlace()
				var plane changing
				plane.become(yes)
				a := replica(t, plane.ask, p)
				id, _ := a.Identify(t.Context(), "us", token, "")
				pass(negativeTTL)
				end(a, id.Hash)
				synctest.Wait()
				plane.become(no)
				if len(p.kept) != 0 {
					t.Error("it is still shared")
				}
				expect(t, replica(t, plane.ask, p), "us", token, "refused")
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		p := newPlace()
		expect(t, replica(t, yes, p), "us", token, "fresh")
		pass(ttl)
		expect(t, replica(t, no, p), "us", token, "refused")
		synctest.Wait()
		if len(p.kept) != 0 {
			t.Error("a refused token is still shared")
		}
	})
}

// An answer that was on its way when the token was revoked is not shared.
func TestForgottenAnswerIsNotShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace()
		a := replica(t, after(2*time.Second, yes), p)
		a.Warm("us", token)
		pass(time.Second)
		a.Forget("us", token)
		pass(2 * time.Second)
		synctest.Wait()
		if p.puts != 0 {
			t.Errorf("%d puts", p.puts)
		}
	})
}

func TestSharedYesOfATokenThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace()
		f := ending(time.Now().Add(10 * time.Second))
		expect(t, replica(t, f, p), "us", token, "fresh")
		pass(5 * time.Second)
		resolver, lookups := counted(no)
		b := replica(t, resolver, p)
		expect(t, b, "us", token, "fresh")
		pass(5 * time.Second)
		expect(t, b, "us", token, "refused")
		if len(p.kept) != 0 && lookups.Load() != 1 {
			t.Errorf("%d lookups", lookups.Load())
		}
	})
}

// If more tokens are revoked at once than floors can be kept, all older shared
// identities are ignored.
func TestFloorsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var plane changing
		plane.become(yes)
		p := keepsDropped{newPlace()}
		a := replica(t, plane.ask, p)
		expect(t, a, "us", token, "fresh")
		synctest.Wait()
		a.Forget("us", token)
		for i := range 70_000 {
			a.Forget("us", auth.NewToken(fmt.Sprint(i)))
			if i%1000 == 0 {
				synctest.Wait()
			}
		}
		plane.become(no)
		expect(t, a, "us", token, "refused")
	})
}
