package emulator_test

import (
	"fmt"
	"net/http"
	"regexp"
	"testing"

	"osgate/emulator"
)

// uuid is the form of ids (RFC 9562 section 5.4).
var uuid = regexp.MustCompile("^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")

// issued contains ids by their value, with the kind of each.
type issued map[string]string

// add records an id, which must be new: an old token would be another client's.
func (i issued) add(t *testing.T, id, made string) {
	t.Helper()
	if !uuid.MatchString(id) {
		t.Errorf("%s has the id %q, which is no UUID of version 4", made, id)
	}
	if before, ok := i[id]; ok {
		t.Errorf("%s has the id of %s", made, before)
	}
	i[id] = made
}

// TestSeedDoesNotRepeatTheIDsOfAFormerRun creates more ids of each kind than an earlier
// run did, so that a run that starts anywhere in the ids of another would repeat some
// of them.
func TestSeedDoesNotRepeatTheIDsOfAFormerRun(t *testing.T) {
	for _, seed := range []int64{0, 7} {
		w := emulator.BuiltInWorld()
		for i := range w.Clients {
			w.Clients[i].GrantTypes = []string{"client_credentials", "password", "refresh_token"}
		}
		o := emulator.Options{Data: t.TempDir(), Seed: seed, World: w, Rate: -1, AccountsRate: -1}
		seen, clients := issued{}, map[string]string{} // of each access token, its client
		for run := range 4 {
			e, err := emulator.New(o)
			if err != nil {
				t.Fatal(err)
			}
			for token, id := range clients {
				c := client{t: t, e: e, host: "localhost", token: token}
				if got := decode[me](t, c.must(http.StatusOK, http.MethodGet, "/us/accounts/api/me", "")); got.Client == nil || got.Client.ClientID != id {
					t.Errorf("seed %d, run %d: a token of %s is valid for %+v", seed, run, id, got.Client)
				}
			}
			for round := range 4 + run {
				makeIDs(t, e, fmt.Sprintf("seed %d, run %d, round %d, ", seed, run, round), seen, clients)
			}
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// makeIDs makes ids of each kind.
func makeIDs(t *testing.T, e *emulator.Emulator, when string, seen issued, clients map[string]string) {
	t.Helper()
	for _, name := range []string{"one", "two"} {
		c := as(t, e, "us", name)
		seen.add(t, c.token, when+"token of "+name)
		clients[c.token] = "app-" + name
		app := "client_id=app-" + name + "&client_secret=secret-" + name
		got := decode[map[string]any](t, c.form("/us/accounts/api/v2/oauth2/token", app+"&grant_type=password&username=admin&password=admin-password"))
		for _, kind := range []string{"access_token", "refresh_token"} {
			id, _ := got[kind].(string)
			seen.add(t, id, when+kind+" of "+name)
		}
	}
	c := as(t, e, "us", "one")
	seen.add(t, c.token, when+"another token")
	for _, method := range []string{http.MethodPut, http.MethodDelete} {
		path := c.confirmable(method, demoKeys+"/k", `{"stringValue":"v"}`)
		seen.add(t, path[len(path)-36:], when+"confirmation of "+method)
		c.must(http.StatusNoContent, http.MethodPost, path, "")
	}
}
