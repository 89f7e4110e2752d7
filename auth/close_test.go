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

func TestCloseWaitsForAskings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resolver, lookups := counted(after(2*time.Second, yes))
		a := newAuthenticator(t, resolver)
		expect(t, a, "us", token, "fresh")
		gone, leave := context.WithCancel(t.Context())
		leave()
		began := time.Now()
		_, _ = a.Identify(gone, "us", auth.NewToken("left behind"), "")
		a.Warm("us", auth.NewToken("warmed"))
		a.Close()
		if time.Since(began) != 2*time.Second || lookups.Load() != 3 {
			t.Errorf("closed after %v with %d lookups, want 2s and 3", time.Since(began), lookups.Load())
		}
		for _, known := range []string{"left behind", "warmed"} {
			if got := outcome(a.Identify(gone, "us", auth.NewToken(known), "")); got != "fresh" {
				t.Errorf("%s: %s", known, got)
			}
		}
		a.Warm("us", auth.NewToken("late"))
		if got := outcome(a.Identify(t.Context(), "us", auth.NewToken("late"), "")); got != "unavailable" || lookups.Load() != 3 {
			t.Errorf("after Close: %s, %d lookups", got, lookups.Load())
		}
		a.Close()
	})
}

// Close may be called during requests.
func TestCloseAmongRequests(t *testing.T) {
	var mu sync.Mutex
	closed := false
	a := newAuthenticator(t, func(ctx context.Context, plane string, token auth.Token) (*auth.Principal, error) {
		mu.Lock()
		defer mu.Unlock()
		if closed {
			t.Error("a lookup was sent after Close")
		}
		return yes(ctx, plane, token)
	})
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			for j := range 20 {
				_, err := a.Identify(t.Context(), "us", auth.NewToken(fmt.Sprint(i, j)), "")
				if _, unavailable := errors.AsType[*auth.UnavailableError](err); err != nil && !unavailable {
					t.Error(err)
				}
				a.Warm("us", auth.NewToken(fmt.Sprint("w", i, j)))
			}
		})
	}
	a.Close()
	mu.Lock()
	closed = true
	mu.Unlock()
	all.Wait()
}
