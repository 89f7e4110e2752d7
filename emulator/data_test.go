package emulator_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"osgate/emulator"
)

// again closes an emulator and opens another one on its data.
func again(t *testing.T, c client, o emulator.Options) client {
	t.Helper()
	if err := c.e.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	next, err := emulator.New(o)
	if err != nil {
		t.Fatalf("New on the data of a former run: %v", err)
	}
	c.e = next
	return c
}

// newOn returns a client of an emulator that the test closes itself.
func newOn(t *testing.T, o emulator.Options) client {
	t.Helper()
	e, err := emulator.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return as(t, e, "us", "one")
}

func TestDataSurviveARestart(t *testing.T) {
	o := emulator.Options{Data: t.TempDir(), Rate: -1}
	c := newOn(t, o)
	c.must(http.StatusOK, http.MethodPut, newStore, `{"defaultTtlSeconds":1000,"isFixedTtl":true}`)
	for i := range 60 {
		c.must(http.StatusCreated, http.MethodPut, fmt.Sprintf("%s/k%d", newKeys, (i*7)%60), fmt.Sprintf(`{"numberValue":%d,"metadata":{"m":"n"},"index":%d}`, i, i))
	}
	c.must(http.StatusNoContent, http.MethodDelete, newKeys+"/k3", "")
	c.put(newStore+"/partitions/gone/keys/k", "v")
	c.must(http.StatusNoContent, http.MethodDelete, newStore+"/partitions/gone", "")
	c.put(newStore+"/partitions/empty/keys/k", "v")
	c.must(http.StatusNoContent, http.MethodDelete, newStore+"/partitions/empty/keys", "")
	c.must(http.StatusOK, http.MethodPatch, "/_osemu/clients/app-two", `{"scopes":["read:store"]}`)
	c.must(http.StatusNoContent, http.MethodDelete, demoKeys+"/KeyOne", "")
	c.advance(900 * time.Second)

	state := func() map[string]any {
		keys, pages := c.list(newKeys)
		objects, _ := c.list(newStore + "/partitions/p?inclusion=all")
		partitions, _ := c.list(newStore + "/partitions")
		seen := map[string]any{
			"keys": keys, "pages": pages, "objects": objects, "partitions": partitions, "store": c.get(newStore).body, "demo": c.get(demoKeys).body,
			"two": as(t, c.e, "us", "two").get(demoKeys).status,
		}
		return seen
	}
	before := state()
	first := decode[page](t, c.get(newKeys))
	counted := c.get(asked(stats, time.Now().UTC().Format(time.RFC3339), time.Now().Add(time.Hour).UTC().Format(time.RFC3339), "1month")).body

	c = again(t, c, o)
	if got := c.get(asked(stats, time.Now().UTC().Format(time.RFC3339), time.Now().Add(time.Hour).UTC().Format(time.RFC3339), "1month")).body; got != counted || strings.Contains(got, ":0}]") {
		t.Errorf("counts: got %s, want %s", got, counted)
	}
	if diff := cmp.Diff(before, state()); diff != "" {
		t.Errorf("after a restart: %s", diff)
	}
	if rest, _ := c.follow(newKeys, *first.NextPageToken); len(rest) != 59-25 {
		t.Errorf("a page token of the former run: %d keys follow, want %d", len(rest), 59-25)
	}
	c.advance(101 * time.Second)
	c = again(t, c, o)
	if keys, _ := c.list(newKeys); len(keys) != 0 {
		t.Errorf("the clock was not kept: %d keys are there after 1001 s of 1000", len(keys))
	}
	if err := c.e.Close(); err != nil {
		t.Error(err)
	}
}

func TestConfirmationsSurviveARestart(t *testing.T) {
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			o := emulator.Options{Data: t.TempDir(), Rate: -1}
			c := newOn(t, o)
			c.put(demo+"/partitions/whole/keys/k", "v")
			var paths []string
			paths = append(paths, c.confirmable(http.MethodPut, demoKeys+"/KeyOne", `{"stringValue":"one"}`))
			paths = append(paths, c.confirmable(http.MethodPut, demoKeys+"/KeyOne", `{"stringValue":"two"}`))
			paths = append(paths, c.confirmable(http.MethodDelete, demoKeys+"/KeyTwo", ""))
			superseded := c.confirmable(http.MethodPut, demoKeys+"/final", `{"stringValue":"pending"}`)
			c.put(demoKeys+"/final", "final")
			whole := c.must(http.StatusNoContent, http.MethodDelete, demo+"/partitions/whole?confirmable=true", "").header.Get(idHeader)
			paths = append(paths, demo+"/partitions/whole/keys/k/confirmations/"+whole, superseded)
			c = again(t, c, o)
			if got := c.value(demo + "/partitions/whole/keys/k"); got != "Not Found" {
				t.Errorf("pending, in the deleted partition: %q", got)
			}
			for _, path := range paths {
				end.end(c, path)
			}
			c = again(t, c, o)
			want := []string{"Key 1 value", "OK", "final", "v"}
			if end.final {
				want = []string{"two", "Not Found", "final", "Not Found"}
			}
			got := []string{c.value(demoKeys + "/KeyOne"), http.StatusText(c.get(demoKeys + "/KeyTwo").status), c.value(demoKeys + "/final"), c.value(demo + "/partitions/whole/keys/k")}
			if !cmp.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
			if err := c.e.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTokensSurviveARestart(t *testing.T) {
	o := emulator.Options{Data: t.TempDir()}
	c := newOn(t, o)
	revoked := as(t, c.e, "us", "two")
	revoked.want(revoked.form("/us/accounts/api/v2/oauth2/revoke", "token="+revoked.token), http.StatusOK)
	c = again(t, c, o)
	c.must(http.StatusOK, http.MethodGet, demo, "")
	revoked.e = c.e
	revoked.must(http.StatusUnauthorized, http.MethodGet, demo, "")
	if err := c.e.Close(); err != nil {
		t.Error(err)
	}
}

func TestDataFolderServesOneEmulatorAtATime(t *testing.T) {
	o := emulator.Options{Data: t.TempDir()}
	start(t, o)
	if _, err := emulator.New(o); err == nil || !strings.Contains(err.Error(), "another process uses it") {
		t.Errorf("got %v", err)
	}
}
