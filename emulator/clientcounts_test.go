package emulator_test

import (
	"net/http"
	"strings"
	"testing"

	"osgate/emulator"
)

// countsOf returns the counts of app-{name}, as the back door returns them.
func (c client) countsOf(name string) emulator.ClientCounts {
	c.t.Helper()
	for _, counts := range decode[[]emulator.ClientCounts](c.t, c.get("/_osemu/clients")) {
		if counts.ID == "app-"+name {
			return counts
		}
	}
	c.t.Fatalf("no counts of %s", name)
	return emulator.ClientCounts{}
}

// mintWith returns the status of a mint by app-one with a secret.
func (c client) mintWith(secret string) int {
	c.t.Helper()
	return c.form("/us/accounts/api/v2/oauth2/token",
		"grant_type=client_credentials&client_id=app-one&client_secret="+secret).status
}

// TestEachConnectedAppIsCounted: its requests, and the tokens issued and refused.
func TestEachConnectedAppIsCounted(t *testing.T) {
	c := one(t)
	eu := as(t, c.e, "eu", "one")
	other := as(t, c.e, "us", "two")
	c.get(demo)
	c.get(demoKeys + "/none") // refused requests count too
	eu.get("/eu/accounts/api/me")
	other.get(demo)
	c.mintWith("wrong")            // with a token too
	client{t: t, e: c.e}.get(demo) // nobody's
	login(t, c.e).get(demo)
	if got, want := c.countsOf("one"), (emulator.ClientCounts{ID: "app-one", Requests: 4, Mints: 2, RefusedMints: 1, Tokens: 2}); got != want {
		t.Errorf("app-one: %+v, want %+v", got, want)
	}
	if got, want := c.countsOf("two"), (emulator.ClientCounts{ID: "app-two", Requests: 1, Mints: 1, Tokens: 1}); got != want {
		t.Errorf("app-two: %+v, want %+v", got, want)
	}
	if got, want := c.countsOf("other"), (emulator.ClientCounts{ID: "app-other"}); got != want {
		t.Errorf("app-other: %+v, want %+v", got, want)
	}
	if err := c.e.Reset(); err != nil {
		t.Fatal(err)
	}
	if got, want := c.countsOf("one"), (emulator.ClientCounts{ID: "app-one", Tokens: 2}); got != want {
		t.Errorf("after a reset: %+v, want %+v", got, want)
	}
}

// TestTokensOfAClientAreRevoked, of all planes, and those of no other client.
func TestTokensOfAClientAreRevoked(t *testing.T) {
	c := one(t)
	eu, other := as(t, c.e, "eu", "one"), as(t, c.e, "us", "two")
	c.must(http.StatusNoContent, http.MethodDelete, "/_osemu/clients/app-one/tokens", "")
	for name, gone := range map[string]response{"us": c.get(demo), "eu": eu.get("/eu/accounts/api/me")} {
		if gone.status != http.StatusUnauthorized {
			t.Errorf("%s: the answer is %d", name, gone.status)
		}
	}
	other.must(http.StatusOK, http.MethodGet, demo, "")
	as(t, c.e, "us", "one").must(http.StatusOK, http.MethodGet, demo, "")
	c.must(http.StatusNotFound, http.MethodDelete, "/_osemu/clients/app-none/tokens", "")
}

// TestASecretIsRotated: the former secret mints no token, the tokens that it minted stay
// valid, and a restart keeps the new secret.
func TestASecretIsRotated(t *testing.T) {
	o := emulator.Options{Data: t.TempDir()}
	c := newOn(t, o)
	got := c.must(http.StatusOK, http.MethodPatch, "/_osemu/clients/app-one", `{"secret":"fresh"}`)
	if strings.Contains(got.body, "fresh") {
		t.Errorf("the secret is in %s", got.body)
	}
	for range 2 {
		if old, renewed := c.mintWith("secret-one"), c.mintWith("fresh"); old != http.StatusUnauthorized || renewed != http.StatusOK {
			t.Errorf("the old secret: %d, the new one: %d", old, renewed)
		}
		c.must(http.StatusOK, http.MethodGet, demo, "")
		c = again(t, c, o)
	}
	if err := c.e.Reset(); err != nil {
		t.Fatal(err)
	}
	if old := c.mintWith("secret-one"); old != http.StatusOK {
		t.Errorf("after a reset: %d", old)
	}
	c = again(t, c, o)
	if old := c.mintWith("secret-one"); old != http.StatusOK {
		t.Errorf("after a reset and a restart: %d", old)
	}
	for _, wrong := range []string{`{"secret":""}`, `{"secret":1}`, `{"scopes":[],"secret":""}`} {
		c.must(http.StatusBadRequest, http.MethodPatch, "/_osemu/clients/app-one", wrong)
	}
	c.must(http.StatusNotFound, http.MethodPatch, "/_osemu/clients/app-none", `{"secret":"s"}`)
}
