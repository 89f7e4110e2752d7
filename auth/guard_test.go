package auth_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"osgate/auth"
)

// countingGuard blocks the given keys and counts failures by key.
type countingGuard struct {
	mu      sync.Mutex // guards the fields below
	failed  map[string]int
	blocked map[string]time.Duration
	looked  int
}

func newTally() *countingGuard {
	return &countingGuard{failed: map[string]int{}, blocked: map[string]time.Duration{}}
}

func (g *countingGuard) Blocked(key string) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.looked++
	return g.blocked[key]
}

func (g *countingGuard) Failed(_ context.Context, key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failed[key]++
}

func (g *countingGuard) block(key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.blocked[key] = 3 * time.Second
}

func guarded(g auth.Guard) func(*auth.Options) { return func(o *auth.Options) { o.Guard = g } }

const (
	here  = "192.0.2.1"
	there = "192.0.2.2"
)

// repeats is the key of token for the address here.
func repeats(t *testing.T, a *auth.Authenticator, token auth.Token) string {
	t.Helper()
	return fmt.Sprintf("%s %x", here, a.Forget("us", token))[:len(here)+1+16]
}

func TestRefusedAskingIsChargedToItsCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newTally()
		resolver, lookups := counted(after(time.Second, no))
		a := newAuthenticator(t, resolver, guarded(g))
		var all sync.WaitGroup
		for i := range 300 {
			all.Go(func() {
				if _, err := a.Identify(t.Context(), "us", token, []string{here, there, ""}[i%3]); !errors.Is(err, auth.ErrBadToken) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		key := repeats(t, a, token)
		other := there + strings.TrimPrefix(key, here)
		if lookups.Load() != 1 || g.failed[here] != 1 || g.failed[there] != 1 || g.failed[key] != 99 || g.failed[other] != 99 || len(g.failed) != 4 {
			t.Errorf("%d lookups, charged %v", lookups.Load(), g.failed)
		}
	})
}

func TestEachGuessIsCharged(t *testing.T) {
	g := newTally()
	next := newTokens()
	a := newAuthenticator(t, no, guarded(g))
	for range 20 {
		_, _ = a.Identify(t.Context(), "us", next(), here)
	}
	if g.failed[here] != 20 || len(g.failed) != 1 {
		t.Errorf("20 guesses are charged as %v", g.failed)
	}
}

func TestRepeatOfARefusedTokenIsChargedToItselfAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newTally()
		resolver, lookups := counted(no)
		a := newAuthenticator(t, resolver, guarded(g))
		for range 10 {
			if _, err := a.Identify(t.Context(), "us", token, here); !errors.Is(err, auth.ErrBadToken) {
				t.Error(err)
			}
		}
		key := ""
		for k := range g.failed {
			if k != here {
				key = k
			}
		}
		if g.failed[here] != 1 || g.failed[key] != 9 || len(g.failed) != 2 {
			t.Errorf("charged %v", g.failed)
		}
		g.block(key)
		_, err := a.Identify(t.Context(), "us", token, here)
		if slow, ok := errors.AsType[*auth.GuessingError](err); !ok || slow.RetryAfter != 3*time.Second || g.failed[key] != 9 {
			t.Errorf("while that is blocked: %v, charged %v", err, g.failed)
		}
		if _, err := a.Identify(t.Context(), "us", token, there); !errors.Is(err, auth.ErrBadToken) {
			t.Errorf("from another address: %v", err)
		}
		if _, err := a.Identify(t.Context(), "us", auth.NewToken("another"), here); !errors.Is(err, auth.ErrBadToken) {
			t.Errorf("another token from the same address: %v", err)
		}
		pass(negativeTTL) // the refusal has ended, the block has not
		lookups.Store(0)
		if _, err := a.Identify(t.Context(), "us", token, here); !guessing(err) || lookups.Load() != 0 {
			t.Errorf("when the no is over: %v, %d lookups", err, lookups.Load())
		}
	})
}

func guessing(err error) bool {
	_, ok := errors.AsType[*auth.GuessingError](err)
	return ok && !errors.Is(err, auth.ErrBadToken)
}

func TestBlockedAddressBringsNoUnknownToken(t *testing.T) {
	g := newTally()
	resolver, lookups := counted(yes)
	a := newAuthenticator(t, resolver, guarded(g))
	g.block(here)
	id, err := a.Identify(t.Context(), "us", token, here)
	if !guessing(err) || id.Principal != nil || lookups.Load() != 0 || len(g.failed) != 0 {
		t.Errorf("%+v, %v, %d lookups, charged %v", id, err, lookups.Load(), g.failed)
	}
	for _, address := range []string{there, ""} {
		if _, err := a.Identify(t.Context(), "us", auth.NewToken("of "+address), address); err != nil {
			t.Errorf("from %q: %v", address, err)
		}
	}
}

func TestGoodTokenNeverMeetsTheGuard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newTally()
		var plane changing
		plane.become(yes)
		a := newAuthenticator(t, plane.ask, guarded(g))
		identify := func(want string) {
			t.Helper()
			if got := outcome(a.Identify(t.Context(), "us", token, here)); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
		identify("fresh")
		g.block(here)
		g.looked = 0
		for range 3 { // fresh, due for renewal, over
			identify("fresh")
			pass(ttl * 90 / 100)
		}
		plane.become(failing)
		identify("fresh")
		pass(ttl)
		trip(t, a)
		identify("stale")
		if g.looked != 0 || len(g.failed) != 0 {
			t.Errorf("the guard received %d calls, and reported %v", g.looked, g.failed)
		}
		plane.become(no)
		pass(longestPause)
		identify("stale") // a probe runs in the background
		synctest.Wait()
		if _, err := a.Identify(t.Context(), "us", token, here); !errors.Is(err, auth.ErrBadToken) || g.failed[here] != 0 {
			t.Errorf("%v, charged %v", err, g.failed)
		}
	})
}

func TestOutageCountsAsNoGuess(t *testing.T) {
	g := newTally()
	next := newTokens()
	a := newAuthenticator(t, failing, guarded(g))
	for range 10 {
		if _, err := a.Identify(t.Context(), "us", next(), here); err == nil {
			t.Error("good")
		}
	}
	if len(g.failed) != 0 {
		t.Errorf("charged %v", g.failed)
	}
}
