package auth_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"osgate/auth"
)

// newTypes returns EnvironmentTypes with the lister l, in a bubble.
func newTypes(t *testing.T, o auth.EnvironmentTypesOptions) *auth.EnvironmentTypes {
	t.Helper()
	e, err := auth.NewEnvironmentTypes(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// memberOf returns a caller with its own token that belongs to an organization.
func memberOf(organization string, n byte) auth.Identity {
	return auth.Identity{Principal: &auth.Principal{Plane: "us", Client: "app", Organizations: []string{organization}}, Hash: [32]byte{n}}
}

func TestEnvironmentListingsAreBounded(t *testing.T) {
	const most = 64
	synctest.Test(t, func(t *testing.T) {
		l := &lister{types: map[string]string{"env": "production"}, takes: time.Second}
		e := newTypes(t, auth.EnvironmentTypesOptions{Lister: l})
		var all sync.WaitGroup
		for n := range byte(most) {
			all.Go(func() { e.Type(t.Context(), memberOf("org", n), auth.NewToken("t"), "org", "env") })
		}
		synctest.Wait()
		began := time.Now()
		if got := e.Type(t.Context(), memberOf("org", most), auth.NewToken("t"), "org", "env"); got != auth.UnknownType || time.Since(began) != 0 {
			t.Errorf("one more than %d: %s after %v, want unknown at once", most, got, time.Since(began))
		}
		if got := l.times(); got != most {
			t.Errorf("%d listings at once, want %d", got, most)
		}
		all.Wait()
		if got := e.Type(t.Context(), memberOf("org", most), auth.NewToken("t"), "org", "env"); got != "production" {
			t.Errorf("afterwards %s", got)
		}
	})
}

// TestAListingOutlivesItsFirstCaller for the others who wait.
func TestAListingOutlivesItsFirstCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lister{types: map[string]string{"env": "production"}, takes: 2 * time.Second}
		e := newTypes(t, auth.EnvironmentTypesOptions{Lister: l})
		leaving, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		var all sync.WaitGroup
		all.Go(func() { e.Type(leaving, memberOf("org", 1), auth.NewToken("t"), "org", "env") })
		synctest.Wait()
		if got := e.Type(t.Context(), memberOf("org", 1), auth.NewToken("t"), "org", "env"); got != "production" || l.times() != 1 {
			t.Errorf("%s by %d listings", got, l.times())
		}
		all.Wait()
	})
}

// TestATypeIsKeptForADay after the last answer that had it.
func TestATypeIsKeptForADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lister{types: map[string]string{"old": "sandbox"}}
		e := newTypes(t, auth.EnvironmentTypesOptions{Lister: l})
		typeOf := func(environment string) string {
			got := e.Type(t.Context(), memberOf("org", 1), auth.NewToken("t"), "org", environment)
			synctest.Wait()
			return got
		}
		typeOf("old")
		l.set(map[string]string{"new": "design"}, nil)
		pass(24*time.Hour - 1)
		typeOf("new")
		if got := typeOf("old"); got != "sandbox" {
			t.Errorf("%s before a day was over", got)
		}
		pass(time.Minute)
		typeOf("other")
		if got := typeOf("old"); got != auth.UnknownType {
			t.Errorf("%s after a day", got)
		}
	})
}

// TestATypeIsGoneAfterExactlyADay.
func TestATypeIsGoneAfterExactlyADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lister{types: map[string]string{"old": "sandbox"}}
		e := newTypes(t, auth.EnvironmentTypesOptions{Lister: l})
		e.Type(t.Context(), memberOf("org", 1), auth.NewToken("t"), "org", "old")
		l.set(map[string]string{}, nil)
		pass(24 * time.Hour)
		e.Type(t.Context(), memberOf("org", 1), auth.NewToken("t"), "org", "new")
		if got := e.Type(t.Context(), memberOf("org", 1), auth.NewToken("t"), "org", "old"); got != auth.UnknownType {
			t.Errorf("%s, want none", got)
		}
	})
}

func TestCloseOfEnvironmentTypesWaitsAndSendsNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lister{types: map[string]string{"env": "production"}, takes: 2 * time.Second}
		e := newTypes(t, auth.EnvironmentTypesOptions{Lister: l})
		leaving, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		began := time.Now()
		e.Type(leaving, memberOf("org", 1), auth.NewToken("t"), "org", "env")
		if e.Close(); time.Since(began) != 2*time.Second {
			t.Errorf("closed after %v, want when the listing is over", time.Since(began))
		}
		if got := e.Type(t.Context(), memberOf("org", 2), auth.NewToken("t"), "org", "another"); got != auth.UnknownType || l.times() != 1 {
			t.Errorf("after Close: %s by %d listings", got, l.times())
		}
		e.Close() // would block if a lock were held
	})
}
