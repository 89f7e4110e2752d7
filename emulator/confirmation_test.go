package emulator_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"pgregory.net/rapid"

	"osgate/emulator"
)

const idHeader = "X-Confirmation-Id"

// confirmable sends a confirmable request and returns the path of its confirmation.
func (c client) confirmable(method, target, body string) string {
	c.t.Helper()
	got := c.do(method, target+"?confirmable=true", body)
	id := got.header.Get(idHeader)
	if got.status >= 300 || id == "" {
		c.t.Fatalf("%s %s: the answer is %d %s with confirmation %q", method, target, got.status, got.body, id)
	}
	return target + "/confirmations/" + id
}

// ends are the ways in which a pending operation ends.
var ends = map[string]struct {
	end   func(client, string)
	final bool
}{
	"ack":    {func(c client, path string) { c.must(http.StatusNoContent, http.MethodPost, path, "") }, true},
	"nack":   {func(c client, path string) { c.must(http.StatusNoContent, http.MethodDelete, path, "") }, false},
	"expiry": {func(c client, _ string) { c.advance(601 * time.Second) }, false},
}

func TestConfirmableWriteHoldsOnlyOnceAcknowledged(t *testing.T) {
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			c := one(t)
			over := c.confirmable(http.MethodPut, demoKeys+"/KeyOne", `{"stringValue":"new"}`)
			fresh := c.confirmable(http.MethodPut, demoKeys+"/fresh", `{"stringValue":"new"}`)
			gone := c.confirmable(http.MethodDelete, demoKeys+"/KeyTwo", "")
			if one, fresh, gone := c.value(demoKeys+"/KeyOne"), c.value(demoKeys+"/fresh"), c.get(demoKeys+"/KeyTwo").status; one != "new" || fresh != "new" || gone != 404 {
				t.Errorf("pending: the values are %q, %q, %d", one, fresh, gone)
			}
			want := [3]string{"Key 1 value", "Not Found", "OK"}
			if end.final {
				want = [3]string{"new", "new", "Not Found"}
			}
			for _, path := range []string{over, fresh, gone} {
				end.end(c, path)
			}
			got := [3]string{c.value(demoKeys + "/KeyOne"), c.value(demoKeys + "/fresh"), http.StatusText(c.get(demoKeys + "/KeyTwo").status)}
			if got != want {
				t.Errorf("after: the value is %q, want %q", got, want)
			}
			for _, path := range []string{over, fresh, gone} {
				for _, method := range []string{http.MethodPost, http.MethodDelete} {
					c.must(http.StatusNotFound, method, path, "")
				}
			}
		})
	}
}

func TestConfirmableReadsChangeNothing(t *testing.T) {
	for name, end := range ends {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			t.Run(name+" of "+method, func(t *testing.T) {
				c := one(t)
				end.end(c, c.confirmable(method, demoKeys+"/KeyOne", ""))
				if got := c.value(demoKeys + "/KeyOne"); got != "Key 1 value" {
					t.Errorf("the value is %q", got)
				}
			})
		}
	}
}

func TestConfirmableDeletionOfAPartitionHoldsOnlyOnceAcknowledged(t *testing.T) {
	const partition = demo + "/partitions/DEFAULT_PARTITION"
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			c := one(t)
			got := c.must(http.StatusNoContent, http.MethodDelete, partition+"?confirmable=true", "")
			path := demoKeys + "/any/confirmations/" + got.header.Get(idHeader)
			c.must(http.StatusNotFound, http.MethodHead, partition, "")
			c.must(http.StatusNotFound, http.MethodDelete, partition, "")
			if list := c.get(demo + "/partitions").body; list != `{"values":[],"nextPageToken":null}` {
				t.Errorf("pending: partitions %s", list)
			}
			end.end(c, path)
			want := "Key 1 value"
			if end.final {
				want = "Not Found"
			}
			if got := c.value(demoKeys + "/KeyOne"); got != want {
				t.Errorf("after: the value is %q, want %q", got, want)
			}
		})
	}
}

func TestAWriteKeepsAPartitionWithAPendingDeletion(t *testing.T) {
	const partition = demo + "/partitions/DEFAULT_PARTITION"
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			c := one(t)
			got := c.must(http.StatusNoContent, http.MethodDelete, partition+"?confirmable=true", "")
			c.put(demoKeys+"/KeyOne", "later")
			end.end(c, demoKeys+"/k/confirmations/"+got.header.Get(idHeader))
			if got := c.value(demoKeys + "/KeyOne"); got != "later" {
				t.Errorf("the value of the later write is %q", got)
			}
			if got := c.get(demoKeys + "/KeyTwo").status; (got == http.StatusOK) == end.final {
				t.Errorf("the answer for the other key is %d", got)
			}
		})
	}
}

func TestExtensionGivesAConfirmationMoreTime(t *testing.T) {
	c := one(t)
	path := c.confirmable(http.MethodPut, demoKeys+"/KeyOne", `{"stringValue":"new"}`)
	c.advance(500 * time.Second)
	c.must(http.StatusNoContent, http.MethodPatch, path, `{"ttl":300}`)
	c.advance(299 * time.Second)
	if got := c.value(demoKeys + "/KeyOne"); got != "new" {
		t.Errorf("799 s after the write, 299 s after the extension: %q", got)
	}
	c.advance(2 * time.Second)
	if got := c.value(demoKeys + "/KeyOne"); got != "Key 1 value" {
		t.Errorf("301 s after the extension: %q", got)
	}
	c.must(http.StatusNotFound, http.MethodPatch, path, `{"ttl":300}`)
	for _, body := range []string{`{}`, `{"ttl":0}`, `{"ttl":-1}`, `{"ttl":"60"}`, `{"ttl":2592001}`, `[]`} {
		path := c.confirmable(http.MethodGet, demoKeys+"/KeyOne", "")
		c.must(http.StatusBadRequest, http.MethodPatch, path, body)
	}
}

func TestConfirmationTimeIsTheStores(t *testing.T) {
	c := one(t)
	c.must(http.StatusOK, http.MethodPut, newStore, `{"defaultConfirmationTtlSeconds":5}`)
	c.confirmable(http.MethodPut, newKeys+"/k", `{"stringValue":"v"}`)
	c.advance(6 * time.Second)
	if got := c.value(newKeys + "/k"); got != "Not Found" {
		t.Errorf("after 6 s of 5: %q", got)
	}
}

func TestRollBackDoesNotBringBackWhatHasExpired(t *testing.T) {
	c := one(t)
	c.must(http.StatusOK, http.MethodPut, newStore, `{"defaultTtlSeconds":100,"isFixedTtl":true}`)
	c.put(newKeys+"/k", "old")
	c.confirmable(http.MethodPut, newKeys+"/k", `{"stringValue":"new"}`)
	c.advance(601 * time.Second)
	if keys, _ := c.list(newKeys); len(keys) != 0 {
		t.Errorf("after 601 s with a TTL of 100 s the keys are %v", keys)
	}
}

func TestAConfirmationIsFoundOnlyUnderItsOwnPath(t *testing.T) {
	c := one(t)
	path := c.confirmable(http.MethodPut, demoKeys+"/KeyOne", `{"stringValue":"new"}`)
	id := path[len(demoKeys+"/KeyOne/confirmations/"):]
	c.put(demo+"/partitions/other/keys/KeyOne", "v")
	for _, other := range []string{
		demoKeys + "/KeyTwo/confirmations/" + id,
		demo + "/partitions/other/keys/KeyOne/confirmations/" + id,
		demoKeys + "/KeyOne/confirmations/" + id[:len(id)-1] + "x",
		"/us/us-east-2" + prod + "/" + demoStore + "/partitions/DEFAULT_PARTITION/keys/KeyOne/confirmations/" + id,
	} {
		for _, method := range []string{http.MethodPost, http.MethodDelete} {
			c.must(http.StatusNotFound, method, other, "")
		}
	}
	c.must(http.StatusNoContent, http.MethodPost, path, "")
}

func TestConfirmationIDIsReturnedAsChosen(t *testing.T) {
	c := one(t, "confirmation-id=body")
	for _, request := range []struct{ method, target, body string }{
		{http.MethodGet, demoKeys + "/KeyOne", ""},
		{http.MethodPut, demoKeys + "/KeyOne", `{"stringValue":"v"}`},
		{http.MethodDelete, demoKeys + "/KeyOne", ""},
		{http.MethodDelete, demo + "/partitions/DEFAULT_PARTITION", ""},
	} {
		got := c.do(request.method, request.target+"?confirmable=true", request.body)
		id, _ := decode[map[string]any](t, got)["confirmationId"].(string)
		if got.header.Get(idHeader) != "" || id == "" {
			t.Errorf("%s %s: the answer is %d %s, header %q", request.method, request.target, got.status, got.body, got.header.Get(idHeader))
		}
	}
}

func TestOperationThatIsNotConfirmableReturnsNoID(t *testing.T) {
	c := one(t)
	for _, query := range []string{"", "?confirmable=false"} {
		if id := c.get(demoKeys + "/KeyOne" + query).header.Get(idHeader); id != "" {
			t.Errorf("%q: the id is %s", query, id)
		}
	}
	for _, query := range []string{"?confirmable=", "?confirmable=1", "?confirmable=TRUE"} {
		c.must(http.StatusBadRequest, http.MethodGet, demoKeys+"/KeyOne"+query, "")
	}
}

// A deletion ends the pending operations below it. Their end restores none of the
// deleted data, even if new data have the same names then.
func TestDeletionEndsWhatWasPendingBelow(t *testing.T) {
	for _, deletion := range []struct {
		target string
		found  bool // the confirmation can still be ended, without effect
	}{
		{newStore, false}, {newStore + "/partitions", false}, {newStore + "/partitions/p", false}, {newKeys, true}, {newKeys + "/k", true},
	} {
		for name, end := range ends {
			t.Run(name+" after "+deletion.target[len(east+prod):], func(t *testing.T) {
				c := one(t)
				c.must(http.StatusOK, http.MethodPut, newStore, "")
				c.put(newKeys+"/k", "old")
				path := c.confirmable(http.MethodPut, newKeys+"/k", `{"stringValue":"pending"}`)
				read := c.confirmable(http.MethodGet, newKeys+"/k", "")
				c.must(http.StatusNoContent, http.MethodDelete, deletion.target, "")
				c.must(http.StatusOK, http.MethodPut, newStore, "")
				c.put(newKeys+"/other", "v")
				if name == "expiry" || deletion.found {
					end.end(c, path)
					end.end(c, read)
				} else {
					c.must(http.StatusNotFound, http.MethodPost, path, "")
					c.must(http.StatusNotFound, http.MethodDelete, path, "")
					c.must(http.StatusNotFound, http.MethodDelete, read, "")
				}
				if got := c.value(newKeys + "/k"); got != "Not Found" {
					t.Errorf("the value of the deleted key is %q", got)
				}
				if got := c.value(newKeys + "/other"); got != "v" {
					t.Errorf("the value of the key that was written later is %q", got)
				}
			})
		}
	}
}

func TestAckOfAPartitionsDeletionEndsWhatWasPendingInIt(t *testing.T) {
	c := one(t)
	read := c.confirmable(http.MethodGet, demoKeys+"/KeyOne", "")
	write := c.confirmable(http.MethodPut, demoKeys+"/KeyOne", `{"stringValue":"pending"}`)
	got := c.must(http.StatusNoContent, http.MethodDelete, demo+"/partitions/DEFAULT_PARTITION?confirmable=true", "")
	c.must(http.StatusNoContent, http.MethodPost, demoKeys+"/any/confirmations/"+got.header.Get(idHeader), "")
	c.must(http.StatusNotFound, http.MethodPost, read, "")
	c.must(http.StatusNotFound, http.MethodDelete, write, "")
	c.put(demoKeys+"/KeyTwo", "new")
	c.advance(601 * time.Second)
	if keys, _ := c.list(demoKeys); len(keys) != 1 {
		t.Errorf("deleted keys exist again: %v", keys)
	}
}

// A model of one key: the list of its operations, each step pending, final or undone.
// The key's value is that of the last step that is not undone; a final step makes all
// earlier steps final in effect.
type step struct {
	value string // "" is a deletion
	state string // pending, final, undone
	path  string
}

func holds(steps []step) string {
	last := 0
	for i, s := range steps {
		if s.state == "final" {
			last = i
		}
	}
	value := ""
	for _, s := range steps[last:] {
		if s.state != "undone" {
			value = s.value
		}
	}
	return value
}

// TestKeyHoldsTheLastOperationThatWasNotRolledBack compares random sequences of writes,
// deletions, acks and nacks of one key with the model.
func TestKeyHoldsTheLastOperationThatWasNotRolledBack(t *testing.T) {
	e := start(t, emulator.Options{})
	c := as(t, e, "us", "one")
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		key := fmt.Sprintf("%s/r%d", demoKeys, round)
		steps := []step{{state: "final"}}
		for i := range rapid.IntRange(1, 12).Draw(rt, "steps") {
			value := fmt.Sprint("v", i)
			switch action := rapid.SampledFrom([]string{"put", "put?", "delete", "delete?", "ack", "nack"}).Draw(rt, "action"); action {
			case "put":
				c.put(key, value)
				steps = append(steps, step{value, "final", ""})
			case "put?":
				steps = append(steps, step{value, "pending", c.confirmable(http.MethodPut, key, `{"stringValue":"`+value+`"}`)})
			case "delete":
				if holds(steps) != "" {
					c.must(http.StatusNoContent, http.MethodDelete, key, "")
					steps = append(steps, step{"", "final", ""})
				}
			case "delete?":
				if holds(steps) != "" {
					steps = append(steps, step{"", "pending", c.confirmable(http.MethodDelete, key, "")})
				}
			default:
				at := rapid.IntRange(0, len(steps)-1).Draw(rt, "which")
				if steps[at].state != "pending" {
					continue
				}
				if action == "ack" {
					c.must(http.StatusNoContent, http.MethodPost, steps[at].path, "")
					steps[at].state = "final"
				} else {
					c.must(http.StatusNoContent, http.MethodDelete, steps[at].path, "")
					steps[at].state = "undone"
				}
			}
			want := holds(steps)
			if want == "" {
				want = "Not Found"
			}
			if got := c.value(key); got != want {
				rt.Fatalf("after %+v: the value is %q, want %q", steps, got, want)
			}
		}
	})
}
