package emulator_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

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
	counted := c.get(statsTarget(stats, time.Now().UTC().Format(time.RFC3339), time.Now().Add(time.Hour).UTC().Format(time.RFC3339), "1month")).body

	c = again(t, c, o)
	if got := c.get(statsTarget(stats, time.Now().UTC().Format(time.RFC3339), time.Now().Add(time.Hour).UTC().Format(time.RFC3339), "1month")).body; got != counted || strings.Count(got, `Count":0}`) == strings.Count(got, "Count") {
		t.Errorf("the counts are %s, want %s", got, counted)
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
		t.Errorf("the clock was not kept: %d keys exist 1001 s after a TTL of 1000 s", len(keys))
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
			c.must(http.StatusNotFound, http.MethodHead, demo+"/partitions/whole", "")
			for _, path := range paths {
				end.end(c, path)
				c.get(demo) // expired operations are rolled back there
				c = again(t, c, o)
			}
			want := []string{"Key 1 value", "OK", "final", "v"}
			if end.final {
				want = []string{"two", "Not Found", "final", "Not Found"}
			}
			got := []string{c.value(demoKeys + "/KeyOne"), http.StatusText(c.get(demoKeys + "/KeyTwo").status), c.value(demoKeys + "/final"), c.value(demo + "/partitions/whole/keys/k")}
			if !cmp.Equal(got, want) {
				t.Errorf("the value is %q, want %q", got, want)
			}
			if err := c.e.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestDeletedDataIsAbsentAfterARestart(t *testing.T) {
	for _, target := range []string{newStore, newStore + "/partitions", newStore + "/partitions/p", newKeys, newKeys + "/k"} {
		o := emulator.Options{Data: t.TempDir(), Rate: -1}
		c := newOn(t, o)
		c.must(http.StatusOK, http.MethodPut, newStore, "")
		for _, key := range []string{newKeys + "/k", newKeys + "/l", newStore + "/partitions/q/keys/k", newStore + "er/partitions/p/keys/k"} {
			if strings.HasPrefix(key, newStore+"er") {
				c.must(http.StatusOK, http.MethodPut, newStore+"er", "")
			}
			c.put(key, "v")
		}
		c.must(http.StatusNoContent, http.MethodDelete, target, "")
		state := func() (seen []int) {
			c.must(http.StatusOK, http.MethodPut, newStore, "")
			for _, path := range []string{"/partitions/p", "/partitions/p/keys", "/partitions/p/keys/k", "/partitions/p/keys/l", "/partitions/q/keys/k", "er/partitions/p/keys/k"} {
				seen = append(seen, c.get(newStore+path).status)
			}
			return seen
		}
		before := state()
		c = again(t, c, o)
		if diff := cmp.Diff(before, state()); diff != "" {
			t.Errorf("DELETE %s, then a restart: %s", target, diff)
		}
		if err := c.e.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestETagsAreNotUsedTwiceAfterARestart(t *testing.T) {
	o := emulator.Options{Data: t.TempDir(), Rate: -1, Choose: map[string]string{"etag": "on"}}
	c := newOn(t, o)
	c.put(demoKeys+"/k", "1")
	before := c.get(demoKeys + "/k").header.Get("ETag")
	c = again(t, c, o)
	if got := c.get(demoKeys + "/k").header.Get("ETag"); got != before {
		t.Errorf("the ETag became %s from %s", got, before)
	}
	c.put(demoKeys+"/k", "2")
	if got := c.get(demoKeys + "/k").header.Get("ETag"); got == before {
		t.Errorf("the ETag stayed %s", got)
	}
	if err := c.e.Close(); err != nil {
		t.Error(err)
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

// twins are two emulators that get the same requests: one in memory, and one on disk
// that is closed and opened again from time to time.
type twins struct {
	memory, disk client
	options      emulator.Options
	pending      [2][]string // paths of confirmations
}

// TestRestartsChangeNothing compares the twins over any sequence of operations.
func TestRestartsChangeNothing(t *testing.T) {
	small := emulator.BuiltInWorld()
	small.Stores, small.Entries = small.Stores[:1], small.Entries[:2]
	small.Stores[0].Locations = []string{"us/us-east-1"}
	rapid.Check(t, func(rt *rapid.T) {
		w := &twins{options: emulator.Options{World: small, Rate: -1, AccountsRate: -1}}
		w.memory = newOn(t, w.options)
		w.options.Data = t.TempDir()
		w.disk = newOn(t, w.options)
		defer func() { w.disk.e.Close() }()
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			memory, disk := w.step(t, rt)
			if memory != disk {
				rt.Fatalf("in memory the status is %d, on disk %d", memory, disk)
			}
			for _, list := range []string{demo + "/partitions", demo + "/partitions/P?inclusion=all", demo + "/partitions/Q?inclusion=all"} {
				if memory, disk := w.memory.get(list), w.disk.get(list); memory.status != disk.status || memory.body != disk.body {
					rt.Fatalf("%s: in memory %d %s\non disk %d %s", list, memory.status, memory.body, disk.status, disk.body)
				}
			}
		}
	})
}

// step sends one request to both and returns the statuses.
func (w *twins) step(t *testing.T, rt *rapid.T) (memory, disk int) {
	t.Helper()
	partition := demo + "/partitions/" + rapid.SampledFrom([]string{"P", "Q"}).Draw(rt, "partition")
	key := partition + "/keys/" + rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "key")
	switch action := rapid.SampledFrom([]string{
		"put", "put", "put?", "put?", "delete", "delete?", "get?", "partition", "partition?", "partition?", "keys", "partitions", "ack", "nack", "extend", "advance", "restart",
	}).Draw(rt, "action"); action {
	case "put":
		return w.both(http.MethodPut, key, `{"stringValue":"v"}`)
	case "delete":
		return w.both(http.MethodDelete, key, "")
	case "partition":
		return w.both(http.MethodDelete, partition, "")
	case "keys":
		return w.both(http.MethodDelete, partition+"/keys", "")
	case "partitions":
		return w.both(http.MethodDelete, demo+"/partitions", "")
	case "put?":
		return w.begin(http.MethodPut, key, fmt.Sprintf(`{"numberValue":%d}`, len(w.pending[0])), key)
	case "delete?":
		return w.begin(http.MethodDelete, key, "", key)
	case "get?":
		return w.begin(http.MethodGet, key, "", key)
	case "partition?":
		return w.begin(http.MethodDelete, partition, "", partition+"/keys/any")
	case "advance":
		d := time.Duration(rapid.IntRange(1, 400).Draw(rt, "seconds")) * time.Second
		w.memory.advance(d)
		w.disk.advance(d)
	case "restart":
		w.disk = again(t, w.disk, w.options)
	default:
		if len(w.pending[0]) > 0 {
			method := map[string]string{"ack": http.MethodPost, "nack": http.MethodDelete, "extend": http.MethodPatch}[action]
			at := rapid.IntRange(0, len(w.pending[0])-1).Draw(rt, "which")
			return w.memory.do(method, w.pending[0][at], `{"ttl":500}`).status, w.disk.do(method, w.pending[1][at], `{"ttl":500}`).status
		}
	}
	return 0, 0
}

func (w *twins) both(method, target, body string) (memory, disk int) {
	return w.memory.do(method, target, body).status, w.disk.do(method, target, body).status
}

// begin sends a confirmable request for the path of a key.
func (w *twins) begin(method, target, body, key string) (memory, disk int) {
	one, two := w.memory.do(method, target+"?confirmable=true", body), w.disk.do(method, target+"?confirmable=true", body)
	if one.status < 300 {
		w.pending[0] = append(w.pending[0], key+"/confirmations/"+one.header.Get(idHeader))
		w.pending[1] = append(w.pending[1], key+"/confirmations/"+two.header.Get(idHeader))
	}
	return one.status, two.status
}

func TestDataFolderServesOneEmulatorAtATime(t *testing.T) {
	o := emulator.Options{Data: t.TempDir()}
	start(t, o)
	if _, err := emulator.New(o); err == nil || !strings.Contains(err.Error(), "another process uses it") {
		t.Errorf("the error is %v", err)
	}
}
