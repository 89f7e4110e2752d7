package auth_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"osgate/auth"
	"osgate/emulator"
)

// TestEnvironmentTypesAreTheControlPlanes uses an Access Management over real
// sockets.
func TestEnvironmentTypesAreTheControlPlanes(t *testing.T) {
	w := newWorld(t, emulator.Options{})
	token := w.mint(t, "us", "one")
	types, err := (&auth.Anypoint{Transport: w.transport, Endpoint: w.endpoint}).ListEnvironments(t.Context(), "us", "org-root", token)
	if err != nil || types["env-prod"] != "production" || types["env-sandbox"] != "sandbox" {
		t.Errorf("environments of org-root: %v, %v; want env-prod production, env-sandbox sandbox", types, err)
	}
	_, err = (&auth.Anypoint{Transport: w.transport, Endpoint: w.endpoint}).ListEnvironments(t.Context(), "us", "org-other", token)
	if err == nil {
		t.Error("a foreign organization has environments")
	}
	_, err = (&auth.Anypoint{Transport: w.transport, Endpoint: w.endpoint}).ListEnvironments(t.Context(), "us", "org-root", auth.NewToken("nobody"))
	if !errors.Is(err, auth.ErrBadToken) {
		t.Errorf("an unknown token: %v, want ErrBadToken", err)
	}
}

// lister is a control plane that counts the listings.
type lister struct {
	mu      sync.Mutex
	lookups int
	types   map[string]string
	err     error
	takes   time.Duration
}

func (l *lister) ListEnvironments(ctx context.Context, _, _ string, _ auth.Token) (map[string]string, error) {
	l.mu.Lock()
	l.lookups++
	types, err, takes := l.types, l.err, l.takes
	l.mu.Unlock()
	select {
	case <-time.After(takes):
		return types, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *lister) set(types map[string]string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.types, l.err = types, err
}

func (l *lister) times() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lookups
}

// caller returns a principal of organization org by a token whose hash begins with b.
func caller(b byte) auth.Identity {
	return auth.Identity{Principal: &auth.Principal{Plane: "us", Client: "app", Organizations: []string{"org"}}, Hash: [32]byte{b}}
}

// inBubble calls f with EnvironmentTypes that use l.
func inBubble(t *testing.T, l *lister, f func(typeOf func(id auth.Identity, organization, environment string) string)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e, err := auth.NewEnvironmentTypes(auth.EnvironmentTypesOptions{Lister: l})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		f(func(id auth.Identity, organization, environment string) string {
			return e.Type(t.Context(), id, auth.NewToken("t"), organization, environment)
		})
	})
}

// TestAnEnvironmentTypeIsRequestedOnce: concurrent callers share one listing, and the
// next follows after an hour, while the old type is returned.
func TestAnEnvironmentTypeIsRequestedOnce(t *testing.T) {
	l := &lister{types: map[string]string{"env": "production"}, takes: time.Second}
	inBubble(t, l, func(typeOf func(auth.Identity, string, string) string) {
		var crowd sync.WaitGroup
		for range 20 {
			crowd.Go(func() {
				if got := typeOf(caller(1), "org", "env"); got != "production" {
					t.Errorf("type %q, want production", got)
				}
			})
		}
		crowd.Wait()
		if typeOf(caller(2), "org", "env") != "production" || l.times() != 1 {
			t.Errorf("%d lookups, want once for everybody", l.times())
		}
		l.set(map[string]string{"env": "sandbox"}, nil)
		<-time.After(time.Hour)
		if got := typeOf(caller(1), "org", "env"); got != "production" {
			t.Errorf("an hour later: %q, want the old type at once", got)
		}
		<-time.After(2 * time.Second)
		if got := typeOf(caller(1), "org", "env"); got != "sandbox" || l.times() != 2 {
			t.Errorf("after the second request: %q, %d lookups; want sandbox, 2", got, l.times())
		}
	})
}

// TestAnEnvironmentThatNoAnswerListsIsUnknown: after a failure the plane gets no
// requests for a while, the refusal of one token does not affect another, and
// organizations to which the caller does not belong are never listed.
func TestAnEnvironmentThatNoAnswerListsIsUnknown(t *testing.T) {
	l := &lister{err: auth.ErrBadToken}
	inBubble(t, l, func(typeOf func(auth.Identity, string, string) string) {
		want := func(why, typ string, lookups int) {
			t.Helper()
			if got := typeOf(caller(1), "org", "env"); got != typ || l.times() != lookups {
				t.Errorf("%s: %q, %d lookups; want %q, %d", why, got, l.times(), typ, lookups)
			}
		}
		want("refused", auth.UnknownType, 1)
		want("refused a moment ago", auth.UnknownType, 1)
		if typeOf(caller(1), "another", "env") != auth.UnknownType || l.times() != 1 {
			t.Error("a request for a foreign organization was sent")
		}
		l.set(nil, &auth.UnavailableError{Plane: "us", Unreached: true, Cause: errors.New("down")})
		if typeOf(caller(2), "org", "env") != auth.UnknownType || l.times() != 2 {
			t.Errorf("another token: %d lookups, want 2", l.times())
		}
		if typeOf(caller(3), "org", "env") != auth.UnknownType || l.times() != 2 {
			t.Errorf("while the plane is down: %d lookups, want 2", l.times())
		}
		l.set(map[string]string{"env": "design"}, nil)
		<-time.After(6 * time.Second)
		want("after a rest", "design", 3)
	})
}

// TestBrokeredCallersShareOneListing: their listings are sent with the gateway's own
// token, so that the next caller of an unlisted environment causes no other one.
func TestBrokeredCallersShareOneListing(t *testing.T) {
	l := &lister{types: map[string]string{"other": "production"}}
	inBubble(t, l, func(typeOf func(auth.Identity, string, string) string) {
		for n := range byte(5) {
			id := caller(n)
			id.Method = auth.ByJWT
			if got := typeOf(id, "org", "env"); got != auth.UnknownType {
				t.Errorf("type %q, want unknown", got)
			}
		}
		if l.times() != 1 {
			t.Errorf("%d lookups with one token, want 1", l.times())
		}
		if typeOf(caller(1), "org", "env"); l.times() != 2 {
			t.Errorf("%d lookups after one with another token, want 2", l.times())
		}
	})
}

// TestANewEnvironmentIsFoundSoon: an environment that the last answer lacked is
// requested again after half a minute.
func TestANewEnvironmentIsFoundSoon(t *testing.T) {
	l := &lister{types: map[string]string{}}
	inBubble(t, l, func(typeOf func(auth.Identity, string, string) string) {
		for range 2 {
			if got := typeOf(caller(1), "org", "new"); got != auth.UnknownType || l.times() != 1 {
				t.Errorf("%q, %d lookups; want unknown, 1", got, l.times())
			}
		}
		l.set(map[string]string{"new": "sandbox"}, nil)
		<-time.After(31 * time.Second)
		if got := typeOf(caller(1), "org", "new"); got != "sandbox" {
			t.Errorf("half a minute later: %q, want sandbox", got)
		}
	})
}

// TestATokenThatSeesLessTakesNothingFromOthers: a listing may contain only the
// environments in which its caller has rights. The others stay known, and another token
// causes its own listing at once.
func TestATokenThatSeesLessTakesNothingFromOthers(t *testing.T) {
	l := &lister{types: map[string]string{"sand": "sandbox"}}
	inBubble(t, l, func(typeOf func(auth.Identity, string, string) string) {
		if got := typeOf(caller(1), "org", "prod"); got != auth.UnknownType {
			t.Errorf("the type that the first token may not read is %q, want unknown", got)
		}
		l.set(map[string]string{"sand": "sandbox", "prod": "production"}, nil)
		if got := typeOf(caller(2), "org", "prod"); got != "production" || l.times() != 2 {
			t.Errorf("with a token that reads more, a moment later: %q, %d lookups; want production, 2", got, l.times())
		}
		l.set(map[string]string{"sand": "sandbox"}, nil)
		typeOf(caller(3), "org", "new")
		if got := typeOf(caller(2), "org", "prod"); got != "production" || l.times() != 3 {
			t.Errorf("after a token that reads less: %q, %d lookups; want production, 3", got, l.times())
		}
		<-time.After(25 * time.Hour)
		typeOf(caller(3), "org", "new")
		l.set(nil, &auth.UnavailableError{Plane: "us", Unreached: true, Cause: errors.New("down")})
		if got := typeOf(caller(2), "org", "prod"); got != auth.UnknownType {
			t.Errorf("a type without an answer for a day is %q, want unknown", got)
		}
	})
}

// TestASilentControlPlaneDelaysNoCallerForLong limits the wait of the first caller; the
// next callers do not wait.
func TestASilentControlPlaneDelaysNoCallerForLong(t *testing.T) {
	l := &lister{takes: time.Hour}
	inBubble(t, l, func(typeOf func(auth.Identity, string, string) string) {
		began := time.Now()
		if got := typeOf(caller(1), "org", "env"); got != auth.UnknownType || time.Since(began) != 5*time.Second {
			t.Errorf("%q after %s, want unknown after 5s", got, time.Since(began))
		}
		began = time.Now()
		typeOf(caller(2), "org", "env")
		if waited := time.Since(began); waited != 0 {
			t.Errorf("the next waited %s, want 0s", waited)
		}
	})
}

// TestOneOrganizationsTroubleIsNotAnothers: an unreadable answer delays only its
// organization, and a 429 the whole plane.
func TestOneOrganizationsTroubleIsNotAnothers(t *testing.T) {
	for _, tt := range []struct {
		err     error
		lookups int
	}{
		{&auth.UnavailableError{Plane: "us", Cause: errors.New("malformed JSON")}, 2},
		{&auth.UnavailableError{Plane: "us", Limited: true, Cause: errors.New("429")}, 1},
	} {
		l := &lister{err: tt.err}
		inBubble(t, l, func(typeOf func(auth.Identity, string, string) string) {
			typeOf(caller(1), "org", "env")
			other := auth.Identity{Principal: &auth.Principal{Plane: "us", Organizations: []string{"another"}}, Hash: [32]byte{2}}
			if typeOf(other, "another", "env"); l.times() != tt.lookups {
				t.Errorf("%v: %d lookups, want %d", tt.err, l.times(), tt.lookups)
			}
		})
	}
}
