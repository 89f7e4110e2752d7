package auth_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"osgate/auth"
)

// After a token was revoked and forgotten, it is refused, regardless of lookups that
// were under way in this gateway or another.
func TestForgottenTokenIsValidForNoLaterCaller(t *testing.T) {
	var ended sync.Map // token -> true
	resolver := func(ctx context.Context, plane string, token auth.Token) (*auth.Principal, error) {
		_, over := ended.Load(token.Header())
		runtime.Gosched()
		if over {
			return nil, auth.ErrBadToken
		}
		return yes(ctx, plane, token)
	}
	p := newPlace()
	a, b := replica(t, resolver, p), replica(t, resolver, p)
	for i := range 50 {
		token := auth.NewToken(fmt.Sprint(i))
		var over atomic.Bool
		var all sync.WaitGroup
		for j := range 6 {
			of := []*auth.Authenticator{a, b}[j%2]
			all.Go(func() {
				for !over.Load() {
					_, err := of.Identify(t.Context(), "us", token, "")
					if j == 3 && err == nil {
						b.Forget("us", token) // causes another lookup and share
					}
					if j == 2 {
						a.Warm("us", token)
					}
				}
			})
		}
		runtime.Gosched()
		ended.Store(token.Header(), true)
		a.Forget("us", token)
		for range 3 {
			expect(t, a, "us", token, "refused")
		}
		over.Store(true)
		all.Wait()
	}
}
