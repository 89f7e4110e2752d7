package auth_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"osgate/auth"
)

var token = auth.NewToken("0f3b1c1e-6f3a-4ad4-9a77-1c5a2a5e8d11")

func TestYesHoldsForTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resolver, lookups := counted(yes)
		a := newAuthenticator(t, resolver)
		for _, tt := range []struct{ passes, age, lookups int }{{0, 0, 1}, {30, 30, 1}, {11, 41, 1}, {19, 0, 2}, {41, 41, 2}, {600, 0, 3}} {
			pass(time.Duration(tt.passes) * time.Second)
			id, err := a.Identify(t.Context(), "us", token, "")
			if err != nil || id.Client != "client of "+token.Header() || id.Plane != "us" || id.Stale || id.Age != time.Duration(tt.age)*time.Second {
				t.Errorf("%+v: %+v, stale %v, age %v, error %v", tt, id.Principal, id.Stale, id.Age, err)
			}
			if got := lookups.Load(); got != int64(tt.lookups) {
				t.Errorf("%+v: %d lookups", tt, got)
			}
		}
	})
}

func TestNoHoldsForNegativeTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resolver, lookups := counted(after(time.Second, no))
		a := newAuthenticator(t, resolver)
		for _, tt := range []struct{ passes, lookups int }{{0, 1}, {0, 1}, {4, 1}, {1, 2}, {4, 2}, {1, 3}} {
			pass(time.Duration(tt.passes) * time.Second)
			id, err := a.Identify(t.Context(), "us", token, "")
			if !errors.Is(err, auth.ErrBadToken) || id.Principal != nil || id.Stale || lookups.Load() != int64(tt.lookups) {
				t.Errorf("%+v: %+v, error %v, %d lookups", tt, id.Principal, err, lookups.Load())
			}
		}
	})
}

func TestNoIsNotKeptWithoutNegativeTTL(t *testing.T) {
	resolver, lookups := counted(no)
	a := newAuthenticator(t, resolver, func(o *auth.Options) { o.NegativeTTL = 0 })
	for range 3 {
		expect(t, a, "us", token, "refused")
	}
	if got := lookups.Load(); got != 3 {
		t.Errorf("%d lookups for 3 requests", got)
	}
}

// A right that ends while the answer is on its way ends within TTL of the start of the
// lookup.
func TestYesAgesFromItsAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const answer = 400 * time.Millisecond
		resolver, lookups := counted(after(answer, yes))
		a := newAuthenticator(t, resolver)
		for _, tt := range []struct {
			passes, age time.Duration
			lookups     int64
		}{{0, answer, 1}, {37 * time.Second, 37*time.Second + answer, 1}, {23*time.Second - answer, answer, 2}} {
			pass(tt.passes)
			id, err := a.Identify(t.Context(), "us", token, "")
			if err != nil || id.Age != tt.age || lookups.Load() != tt.lookups {
				t.Errorf("%+v: age %v, error %v, %d lookups", tt, id.Age, err, lookups.Load())
			}
		}
	})
}

func TestRefusalWithPrincipalIsRefusal(t *testing.T) {
	a := newAuthenticator(t, func(context.Context, string, auth.Token) (*auth.Principal, error) {
		return &auth.Principal{Client: "app"}, fmt.Errorf("asking: %w", auth.ErrBadToken)
	})
	for range 2 {
		if id, err := a.Identify(t.Context(), "us", token, ""); !errors.Is(err, auth.ErrBadToken) || id.Principal != nil {
			t.Errorf("%+v, error %v", id.Principal, err)
		}
	}
}

func TestConcurrentFirstRequestsSendOneLookup(t *testing.T) {
	for name, tt := range map[string]struct {
		answer resolverFunc
		check  func(id auth.Identity, err error) bool
	}{
		"yes":         {yes, func(id auth.Identity, err error) bool { return err == nil && id.Client != "" }},
		"no":          {no, func(_ auth.Identity, err error) bool { return errors.Is(err, auth.ErrBadToken) }},
		"unavailable": {failing, func(_ auth.Identity, err error) bool { _, ok := errors.AsType[*auth.UnavailableError](err); return ok }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				resolver, lookups := counted(after(time.Second, tt.answer))
				a := newAuthenticator(t, resolver)
				var all sync.WaitGroup
				for range 1000 {
					all.Go(func() {
						if id, err := a.Identify(t.Context(), "us", token, ""); !tt.check(id, err) {
							t.Errorf("%+v, error %v", id.Principal, err)
						}
					})
				}
				all.Wait()
				if got := lookups.Load(); got != 1 {
					t.Errorf("%d lookups, want once", got)
				}
			})
		})
	}
}

// A caller that found no answer, and joins after the lookup is over, gets the answer
// without another lookup.
func TestLateCallerSendsNoSecondLookup(t *testing.T) {
	resolver, lookups := counted(yes) // without delay: many callers find no answer and then no lookup to join
	a := newAuthenticator(t, resolver)
	const tokens, callers = 300, 8
	var all sync.WaitGroup
	for i := range tokens {
		start := make(chan struct{})
		for range callers {
			all.Go(func() {
				<-start
				expect(t, a, "us", auth.NewToken(fmt.Sprint(i)), "fresh")
			})
		}
		close(start)
	}
	all.Wait()
	if got := lookups.Load(); got != tokens {
		t.Errorf("%d lookups for %d tokens", got, tokens)
	}
}

func TestFirstCallersLeavingFailsNoOtherCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		first, leave := context.WithCancel(context.WithValue(t.Context(), key{}, "trace"))
		resolver, lookups := counted(after(2*time.Second, func(ctx context.Context, plane string, token auth.Token) (*auth.Principal, error) {
			if ctx.Err() != nil || ctx.Value(key{}) != "trace" {
				t.Errorf("asked with %v, value %v", ctx.Err(), ctx.Value(key{}))
			}
			if left, ok := ctx.Deadline(); !ok || time.Until(left) != timeout-2*time.Second {
				t.Errorf("deadline %v, %v", left, ok)
			}
			return yes(ctx, plane, token)
		}))
		a := newAuthenticator(t, resolver)
		started := time.Now()
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := a.Identify(first, "us", token, ""); !errors.Is(err, context.Canceled) || time.Since(started) != time.Second {
				t.Errorf("the caller that left: %v after %v", err, time.Since(started))
			}
		})
		synctest.Wait()
		all.Go(func() {
			if id, err := a.Identify(t.Context(), "us", token, ""); err != nil || id.Client == "" || time.Since(started) != 2*time.Second {
				t.Errorf("the caller that stayed: %v after %v", err, time.Since(started))
			}
		})
		pass(time.Second)
		leave()
		all.Wait()
		if got := lookups.Load(); got != 1 {
			t.Errorf("%d lookups, want once", got)
		}
	})
}

// The next caller gets the answer of a lookup whose callers have all left.
func TestAnswerOutlivesItsCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resolver, lookups := counted(after(time.Second, yes))
		a := newAuthenticator(t, resolver)
		gone, leave := context.WithCancel(t.Context())
		leave()
		if id, err := a.Identify(gone, "us", token, ""); !errors.Is(err, context.Canceled) || id.Principal != nil {
			t.Errorf("%+v, error %v", id.Principal, err)
		}
		pass(time.Second)
		synctest.Wait()
		if id, err := a.Identify(gone, "us", token, ""); err != nil || id.Client == "" || lookups.Load() != 1 {
			t.Errorf("%+v, error %v, %d lookups", id.Principal, err, lookups.Load())
		}
	})
}

func TestTokenOfOnePlaneIsLookedUpOnAnother(t *testing.T) {
	resolver, lookups := counted(func(ctx context.Context, plane string, token auth.Token) (*auth.Principal, error) {
		if plane != "eu" {
			return no(ctx, plane, token)
		}
		return yes(ctx, plane, token)
	})
	a := newAuthenticator(t, resolver)
	for range 2 {
		if id, err := a.Identify(t.Context(), "eu", token, ""); err != nil || id.Plane != "eu" {
			t.Errorf("its own plane: %+v, %v", id.Principal, err)
		}
		if id, err := a.Identify(t.Context(), "us", token, ""); !errors.Is(err, auth.ErrBadToken) || id.Principal != nil {
			t.Errorf("another plane: %+v, %v", id.Principal, err)
		}
	}
	if got := lookups.Load(); got != 2 {
		t.Errorf("%d lookups, want once a plane", got)
	}
}

func TestHashStandsForPlaneAndTokenUnderTheSecret(t *testing.T) {
	under := func(secret string) *auth.Authenticator {
		return newAuthenticator(t, no, func(o *auth.Options) { o.Secret = []byte(secret) })
	}
	hash := func(a *auth.Authenticator, plane, token string) [32]byte {
		id, _ := a.Identify(t.Context(), plane, auth.NewToken(token), "") // refused, but the hash is known
		return id.Hash
	}
	one, two := under("s"), under("s")
	seen := map[[32]byte]string{}
	for _, of := range [][2]string{{"us", "t"}, {"u", "st"}, {"", "ust"}, {"us", ""}, {"ust", ""}, {"eu", "t"}, {"us", "T"}, {"us", "tt"}} {
		h := hash(one, of[0], of[1])
		if again := hash(two, of[0], of[1]); again != h || hash(one, of[0], of[1]) != h {
			t.Errorf("%q hashes differently each time", of)
		}
		if other := seen[h]; other != "" || h == [32]byte{} {
			t.Errorf("%q hashes like %s", of, other)
		}
		seen[h] = fmt.Sprint(of)
	}
	for _, other := range []*auth.Authenticator{under("S"), under(""), under("")} {
		if h := hash(other, "us", "t"); seen[h] != "" {
			t.Errorf("another secret, same hash as %s", seen[h])
		} else {
			seen[h] = "another secret"
		}
	}
}

// Many goroutines compute hashes at once, out of shared states.
func TestHashesDoNotMix(t *testing.T) {
	a := newAuthenticator(t, no)
	var want [16][32]byte
	of := func(i int) [32]byte {
		id, _ := a.Identify(t.Context(), "us", auth.NewToken(fmt.Sprint(i)), "") // refused, but the hash is known
		return id.Hash
	}
	for i := range want {
		want[i] = of(i)
	}
	var all sync.WaitGroup
	for i := range want {
		all.Go(func() {
			for range 200 {
				if got := of(i); got != want[i] {
					t.Errorf("token %d hashes as %x, then %x", i, want[i], got)
				}
			}
		})
	}
	all.Wait()
}

func TestBytesBoundWhatIsKept(t *testing.T) {
	large := func(_ context.Context, plane string, _ auth.Token) (*auth.Principal, error) {
		p := &auth.Principal{Plane: plane, Client: "app"}
		for i := range 1000 {
			p.Organizations = append(p.Organizations, fmt.Sprintf("%036d", i))
		}
		p.Trees = []auth.Organization{{Root: "root", Subs: p.Organizations}}
		return p, nil
	}
	for name, tt := range map[string]struct {
		answer      resolverFunc
		bytes       uint64
		tokens, fit int
	}{
		"small identities": {yes, 60_000, 2000, 200},
		"large identities": {large, 1 << 20, 200, 12},
		"refusals":         {no, 60_000, 2000, 250},
	} {
		t.Run(name, func(t *testing.T) {
			resolver, lookups := counted(tt.answer)
			a := newAuthenticator(t, resolver, func(o *auth.Options) { o.Bytes, o.NegativeTTL = tt.bytes, time.Hour })
			for range 2 {
				lookups.Store(0)
				for i := range tt.tokens {
					_, _ = a.Identify(t.Context(), "us", auth.NewToken(fmt.Sprint(i)), "")
				}
			}
			if known := tt.tokens - int(lookups.Load()); known > tt.fit {
				t.Errorf("of %d tokens seen before, %d were still known in %d bytes", tt.tokens, known, tt.bytes)
			}
		})
	}
}

func TestImpossibleOptionsAreRefused(t *testing.T) {
	good := auth.Options{Resolver: resolverFunc(yes), TTL: 1}
	if _, err := auth.New(good); err != nil {
		t.Errorf("%v", err)
	}
	for name, change := range map[string]func(*auth.Options){
		"no asker":     func(o *auth.Options) { o.Resolver = nil },
		"no TTL":       func(o *auth.Options) { o.TTL = 0 },
		"TTL":          func(o *auth.Options) { o.TTL = -1 },
		"negative TTL": func(o *auth.Options) { o.NegativeTTL = -1 },
		"stale":        func(o *auth.Options) { o.Stale = -1 },
		"timeout":      func(o *auth.Options) { o.Timeout = -1 },
		"askings":      func(o *auth.Options) { o.MaxLookups = -1 },
	} {
		o := good
		change(&o)
		if a, err := auth.New(o); err == nil || a != nil {
			t.Errorf("%s: %v, %v", name, a, err)
		}
	}
}

func BenchmarkIdentifyKnownToken(b *testing.B) {
	for name, text := range map[string]string{"UUID": "0f3b1c1e-6f3a-4ad4-9a77-1c5a2a5e8d11", "600B": string(make([]byte, 600))} {
		token := auth.NewToken(text)
		b.Run(name, func(b *testing.B) {
			a := newAuthenticator(b, yes, func(o *auth.Options) { o.TTL = time.Hour })
			b.ReportAllocs()
			for b.Loop() {
				if _, err := a.Identify(b.Context(), "us", token, ""); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/parallel", func(b *testing.B) {
			a := newAuthenticator(b, yes, func(o *auth.Options) { o.TTL = time.Hour })
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := a.Identify(b.Context(), "us", token, ""); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}
