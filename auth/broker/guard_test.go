package broker_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"osgate/auth"
	"osgate/auth/broker"
)

// counter is a guard that refuses a key after some failures.
type counter struct {
	limit int // 0: none

	mu     sync.Mutex
	failed map[string]int
}

func (c *counter) Blocked(key string) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.limit > 0 && c.failed[key] >= c.limit {
		return 7 * time.Second
	}
	return 0
}

func (c *counter) Failed(_ context.Context, key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed == nil {
		c.failed = map[string]int{}
	}
	c.failed[key]++
}

// String returns the failures by key. The hash of a repeated credential is "*".
func (c *counter) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var words []string
	for _, key := range slices.Sorted(maps.Keys(c.failed)) {
		address, _, repeated := strings.Cut(key, " ")
		if repeated {
			address += "*"
		}
		words = append(words, fmt.Sprintf("%s=%d", address, c.failed[key]))
	}
	return strings.Join(words, " ")
}

// TestARefusedCredentialCountsOnceAgainstItsAddress, and its repetitions against the
// pair of both.
func TestARefusedCredentialCountsOnceAgainstItsAddress(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		guard, jwt := &counter{limit: 3}, newMethod(auth.ByJWT)
		i := w.identifier(t, tokens, guard, jwt)
		identify := func(text, address string) error {
			_, err := i.Identify(t.Context(), "us", bearer(text), address)
			return err
		}
		guessing := func(err error) bool {
			e, ok := errors.AsType[*auth.GuessingError](err)
			return ok && e.RetryAfter == 7*time.Second
		}
		for n := range 4 { // one application repeats one bad token
			if err := identify("bad.b.c", "here"); !errors.Is(err, auth.ErrBadToken) {
				t.Fatalf("%d: %v", n, err)
			}
		}
		if got := guard.String(); got != "here=1 here*=3" {
			t.Errorf("charged %q", got)
		}
		calls := jwt.calls.Load()
		if err := identify("bad.b.c", "here"); !guessing(err) || jwt.calls.Load() != calls {
			t.Errorf("a repetition: %v", err)
		}
		if err := identify("good.b.c", "here"); err != nil {
			t.Errorf("another application at its address: %v", err)
		}
		for _, text := range []string{"bad2.b.c", "bad3.b.c"} { // somebody guesses
			if err := identify(text, "here"); !errors.Is(err, auth.ErrBadToken) {
				t.Error(err)
			}
		}
		if err := identify("new.b.c", "here"); !guessing(err) {
			t.Errorf("a new credential while the address is blocked: %v", err)
		}
		if err := identify("good.b.c", "here"); err != nil {
			t.Errorf("a known credential waits because of guessing: %v", err)
		}
		if err := identify("new.b.c", "there"); err != nil {
			t.Errorf("at another address: %v", err)
		}
		if err := identify("bad4.b.c", ""); !errors.Is(err, auth.ErrBadToken) || strings.HasPrefix(guard.String(), "=") {
			t.Errorf("without an address: %v, %s", err, guard)
		}
		pass(10 * time.Second)
		if err := identify("bad.b.c", "elsewhere"); !errors.Is(err, auth.ErrBadToken) {
			t.Error(err)
		}
		if got := guard.String(); got != "elsewhere=1 here=3 here*=3" {
			t.Errorf("charged %q", got)
		}
	})
}

// TestARefusalIsForgotten after a while: it counts against the address again.
func TestARefusalIsForgotten(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		guard := &counter{}
		i := w.identifier(t, tokens, guard, newMethod(auth.ByMTLS), newMethod(auth.ByJWT))
		for _, wait := range []time.Duration{0, 4 * time.Second, 10 * time.Second} {
			pass(wait)
			for _, c := range []auth.Credential{bearer("bad.b.c"), certificate("bad")} {
				if _, err := i.Identify(t.Context(), "us", c, "here"); !errors.Is(err, auth.ErrBadToken) {
					t.Error(err)
				}
			}
		}
		if got := guard.String(); got != "here=4"+strings.Repeat(" here*=1", 2) {
			t.Errorf("charged %q", got)
		}
	})
}

// TestEachCredentialIsCountedForItself, and remembered for five seconds at least.
func TestEachCredentialIsCountedForItself(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		guard := &counter{}
		i := w.identifier(t, tokens, guard, newMethod(auth.ByMTLS))
		for _, name := range []string{"bad", "bad 2", "", "bad 2"} { // an empty name is no name
			if _, err := i.Identify(t.Context(), "us", certificate(name), "here"); !errors.Is(err, auth.ErrBadToken) {
				t.Errorf("%q: %v", name, err)
			}
			pass(2 * time.Second)
		}
		if got := guard.String(); got != "here=3 here*=1" {
			t.Errorf("charged %q", got)
		}
	})
}

// TestOnlyRefusalsAreCharged: an unavailable issuer is not the client's fault.
func TestOnlyRefusalsAreCharged(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		guard, jwt := &counter{}, newMethod(auth.ByJWT)
		i := w.identifier(t, tokens, guard, jwt)
		away := error(&auth.UnavailableError{Plane: "issuer", Cause: errors.New("away")})
		jwt.err.Store(&away)
		if _, err := i.Identify(t.Context(), "us", bearer("a.b.c"), "here"); !errors.Is(err, away) {
			t.Errorf("got %v", err)
		}
		jwt.err.Store(nil)
		jwt.life = -time.Second // a caller that has ended
		for range 2 {           // the second time, the method knows it
			if _, err := i.Identify(t.Context(), "us", bearer("a.b.c"), "here"); !errors.Is(err, auth.ErrBadToken) {
				t.Errorf("an ended caller: %v", err)
			}
		}
		if _, err := i.Identify(t.Context(), "us", bearer("opaque"), "here"); !errors.Is(err, auth.ErrBadToken) {
			t.Errorf("an opaque token: %v", err)
		}
		if _, err := i.Identify(t.Context(), "us", auth.Credential{}, "here"); !errors.Is(err, auth.ErrNoToken) {
			t.Errorf("no token: %v", err)
		}
		if got := guard.String(); got != "here=2 here*=1" {
			t.Errorf("charged %q", got)
		}
	})
}
