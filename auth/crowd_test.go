package auth_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"osgate/auth"
)

// blockedPlace is a shared place whose calls block until it is released.
type blockedPlace struct {
	unreachable

	gets, drops atomic.Int64
	let         chan struct{}
}

func (h *blockedPlace) Get(context.Context, [32]byte) auth.Found {
	h.gets.Add(1)
	<-h.let
	return auth.Found{}
}

func (h *blockedPlace) Drop(context.Context, [32]byte) {
	h.drops.Add(1)
	<-h.let
}

// flights is the limit of concurrent flights with one lookup at a time.
const flights = 16

// TestLooksAtTheSharedPlaceAreBounded although they are no lookups.
func TestLooksAtTheSharedPlaceAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &blockedPlace{let: make(chan struct{})}
		a := replica(t, yes, h, func(o *auth.Options) { o.MaxLookups = 1 })
		next := newTokens()
		var all sync.WaitGroup
		for range flights {
			all.Go(func() { _, _ = a.Identify(t.Context(), "us", next(), "") })
			synctest.Wait()
		}
		came := time.Now()
		_, err := a.Identify(t.Context(), "us", next(), "")
		failure, ok := errors.AsType[*auth.UnavailableError](err)
		if !ok || failure.RetryAfter != time.Second || !strings.Contains(failure.Error(), "too many") || time.Since(came) != 0 {
			t.Errorf("one more than %d: %v after %v", flights, err, time.Since(came))
		}
		if got := h.gets.Load(); got != flights {
			t.Errorf("%d looks at once, want %d", got, flights)
		}
		close(h.let)
		all.Wait()
	})
}

// TestDropsAreBounded and count among the flights until they are over.
func TestDropsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &blockedPlace{let: make(chan struct{})}
		a := replica(t, yes, h, func(o *auth.Options) { o.MaxLookups = 1 })
		for n := range flights + 5 {
			a.Forget("us", auth.NewToken(fmt.Sprint(n)))
		}
		synctest.Wait()
		if got := h.drops.Load(); got != flights {
			t.Errorf("%d drops at once, want %d", got, flights)
		}
		if _, err := a.Identify(t.Context(), "us", token, ""); err == nil {
			t.Error("a look begins beside as many drops as there may be")
		}
		close(h.let)
		synctest.Wait()
		expect(t, a, "us", token, "fresh")
	})
}

// TestOneRefusalIsChargedToAFewAddresses, and to the token at the others.
func TestOneRefusalIsChargedToAFewAddresses(t *testing.T) {
	const most, more = 64, 6
	synctest.Test(t, func(t *testing.T) {
		g := newTally()
		a := newAuthenticator(t, after(time.Second, no), guarded(g))
		var all sync.WaitGroup
		for n := range most + more {
			all.Go(func() { _, _ = a.Identify(t.Context(), "us", token, fmt.Sprint("address-", n)) })
		}
		all.Wait()
		addresses, repeats := 0, 0
		for key, n := range g.failed {
			if strings.Contains(key, " ") {
				repeats += n
			} else {
				addresses += n
			}
		}
		if addresses != most || repeats != more {
			t.Errorf("charged to %d addresses and %d repeats, want %d and %d", addresses, repeats, most, more)
		}
	})
}

// scoped counts the calls of Validator.
type scoped struct {
	emptyResolver

	lookups atomic.Int64
	suffix  string
}

func (s *scoped) Validator(plane string) string {
	s.lookups.Add(1)
	return s.suffix + plane
}

// TestValidatorsOfAFewPlanesAreRemembered so that a token's hash costs no allocation,
// while unknown plane names do not fill the memory.
func TestValidatorsOfAFewPlanesAreRemembered(t *testing.T) {
	const most, planes = 64, 70
	s := &scoped{}
	a := newAuthenticator(t, no, func(o *auth.Options) { o.Resolver = s })
	for range 2 {
		for n := range planes {
			_, _ = a.Known(fmt.Sprint("plane-", n), token)
		}
	}
	if got, want := s.lookups.Load(), int64(planes+planes-most); got != want {
		t.Errorf("%d lookups, want %d", got, want)
	}
}

// TestPlaneAndValidatorDoNotRunTogether: different pairs with the same letters have
// different hashes.
func TestPlaneAndValidatorDoNotRunTogether(t *testing.T) {
	secret := func(o *auth.Options) { o.Secret = []byte(secret) }
	hash := func(plane, suffix string) [32]byte {
		h, _ := newAuthenticator(t, no, secret, func(o *auth.Options) { o.Resolver = named{resolverFunc: no, name: suffix} }).Known(plane, token)
		return h
	}
	if hash("ab", "c") == hash("a", "bc") {
		t.Error("plane ab of validator c and plane a of validator bc have the same hash")
	}
}
