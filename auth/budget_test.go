package auth_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"osgate/auth"
)

// limitedPlane is a control plane whose answers report its allowance.
type limitedPlane struct {
	allowance atomic.Pointer[auth.Allowance]
	f         resolverFunc
}

func (r *limitedPlane) Lookup(ctx context.Context, plane string, token auth.Token) (auth.Answer, error) {
	result, err := r.f.Lookup(ctx, plane, token)
	if left := r.allowance.Load(); left != nil {
		result.Allowance = *left
	}
	return result, err
}

func (*limitedPlane) Validator(string) string { return "test" }

func TestRefreshAndWarmGiveWayWhenTheAllowanceIsLow(t *testing.T) {
	for _, tt := range []struct {
		name             string
		limit, remaining int
		reset            time.Duration
		givesWay         bool
	}{
		{"a fifth is left", 500, 100, time.Hour, false},
		{"less than a fifth is left", 500, 99, time.Hour, true},
		{"nothing is left", 500, 0, time.Hour, true},
		{"less than a fifth of little", 3, 0, time.Hour, true},
		{"until it is full again", 500, 0, 10 * time.Second, false},
		{"it does not say", 0, 0, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				resolver, lookups := counted(yes)
				plane := &limitedPlane{f: resolver}
				plane.allowance.Store(&auth.Allowance{Limit: tt.limit, Remaining: tt.remaining, Reset: time.Now().Add(tt.reset)})
				a := newAuthenticator(t, nil, func(o *auth.Options) { o.Resolver = plane })
				expect(t, a, "us", token, "fresh")
				pass(ttl * 90 / 100)
				expect(t, a, "us", token, "fresh")
				a.Warm("us", auth.NewToken("minted"))
				synctest.Wait()
				want := int64(3)
				if tt.givesWay {
					want = 1
				}
				if got := lookups.Load(); got != want {
					t.Errorf("%d lookups, want %d", got, want)
				}
				a.Warm("eu", auth.NewToken("minted"))
				pass(ttl / 10)
				expect(t, a, "us", token, "fresh")
				expect(t, a, "us", auth.NewToken("foreground"), "fresh")
				if tt.givesWay {
					want += 3
				} else {
					want += 2
				}
				if got := lookups.Load(); got != want {
					t.Errorf("%d lookups, want %d: another plane and waiting callers are not delayed", got, want)
				}
			})
		})
	}
}

func TestTooManyAskingsPauseRefreshes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var plane changing
		plane.become(yes)
		resolver, lookups := counted(plane.ask)
		a := newAuthenticator(t, resolver)
		expect(t, a, "us", token, "fresh")
		pass(ttl * 90 / 100)
		plane.become(limited(5 * time.Second))
		expect(t, a, "us", auth.NewToken("told 429"), "unavailable")
		plane.become(yes)
		lookups.Store(0)
		use(t, a, token, 10*time.Millisecond, 5*time.Second)
		a.Warm("eu", auth.NewToken("minted"))
		synctest.Wait()
		if got := lookups.Load(); got != 1 {
			t.Errorf("%d lookups while the plane wants peace, and once another", got)
		}
		expect(t, a, "us", auth.NewToken("foreground"), "fresh")
		use(t, a, token, 10*time.Millisecond, ttl/5)
		if got := lookups.Load(); got != 3 {
			t.Errorf("%d lookups after that, want 3", got)
		}
	})
}

// slowShared delays reads of shared identities.
type slowShared struct{ auth.Shared }

func (s slowShared) Get(context.Context, [32]byte) auth.Found {
	pass(time.Second)
	return auth.Found{}
}

// A caller that joins a background lookup gets its answer: the lookup is not given up
// for want of allowance.
func TestAwaitedRefreshDoesNotGiveWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plane := &limitedPlane{f: yes}
		a := newAuthenticator(t, nil, func(o *auth.Options) { o.Resolver, o.Shared = plane, slowShared{&unreachable{}} })
		a.Warm("us", token)
		plane.allowance.Store(&auth.Allowance{Limit: 500, Reset: time.Now().Add(time.Hour)})
		var all sync.WaitGroup
		all.Go(func() { expect(t, a, "us", auth.NewToken("tells that nothing is left"), "fresh") })
		all.Go(func() { expect(t, a, "us", token, "fresh") })
		all.Wait()
	})
}

// unreachable is a shared place that does not answer.
type unreachable struct{}

func (unreachable) Get(context.Context, [32]byte) auth.Found                                 { return auth.Found{} }
func (unreachable) Put(context.Context, [32]byte, *auth.Principal, time.Time, time.Duration) {}
func (unreachable) Drop(context.Context, [32]byte)                                           {}
func headers(limit, remaining, reset string) http.Header {
	h := http.Header{}
	for name, value := range map[string]string{"X-RateLimit-Limit": limit, "X-RateLimit-Remaining": remaining, "X-RateLimit-Reset": reset} {
		if value != "" {
			h.Set(name, value)
		}
	}
	return h
}

func TestAllowanceIsReadOfEveryAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().Truncate(time.Second)
		at := func(d time.Duration) string { return strconv.FormatInt(now.Add(d).Unix(), 10) }
		full := auth.Allowance{Limit: 500, Remaining: 499, Reset: now.Add(time.Minute)}
		for _, tt := range []struct {
			name   string
			header http.Header
			want   auth.Allowance
		}{
			{"all", headers("500", "499", at(time.Minute)), full},
			{"none", headers("", "", ""), auth.Allowance{}},
			{"no limit", headers("", "499", at(time.Minute)), auth.Allowance{}},
			{"no rest", headers("500", "", at(time.Minute)), auth.Allowance{}},
			{"no reset", headers("500", "499", ""), auth.Allowance{}},
			{"reset in the past", headers("500", "499", at(-time.Minute)), auth.Allowance{}},
			{"reset in milliseconds", headers("500", "499", at(0)+"000"), auth.Allowance{Limit: 500, Remaining: 499, Reset: now.Add(time.Hour)}},
			{"limit 0", headers("0", "0", at(time.Minute)), auth.Allowance{}},
			{"negative", headers("-500", "-1", at(time.Minute)), auth.Allowance{}},
			{"words", headers("many", "some", "soon"), auth.Allowance{}},
		} {
			for _, status := range []int{200, 401, 429, 500} {
				answer := transport(func(*http.Request) (*http.Response, error) {
					return response(status, tt.header, `{"active":true,"client":{"client_id":"app"},"client_id":"app"}`), nil
				})
				for _, a := range []auth.Resolver{&auth.Anypoint{Endpoint: endpoint, Transport: answer}, &auth.Introspection{Endpoint: endpoint, Transport: answer}} {
					result, _ := a.Lookup(t.Context(), "us", auth.NewToken("t"))
					if got := result.Allowance; got.Limit != tt.want.Limit || got.Remaining != tt.want.Remaining || !got.Reset.Equal(tt.want.Reset) {
						t.Errorf("%s, %d, %T: %+v, want %+v", tt.name, status, a, got, tt.want)
					}
				}
			}
		}
	})
}

func TestTooManyRequestsAreDistinguished(t *testing.T) {
	for status, want := range map[int]bool{429: true, 503: false, 500: false, 404: false} {
		answer := transport(func(*http.Request) (*http.Response, error) { return response(status, nil, ""), nil })
		for _, a := range []auth.Resolver{&auth.Anypoint{Endpoint: endpoint, Transport: answer}, &auth.Introspection{Endpoint: endpoint, Transport: answer}} {
			_, err := a.Lookup(t.Context(), "us", auth.NewToken("t"))
			if failure, ok := errors.AsType[*auth.UnavailableError](err); !ok || failure.Limited != want {
				t.Errorf("%d of %T: %v", status, a, err)
			}
		}
	}
}
