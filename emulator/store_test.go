package emulator_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"osgate/emulator"
)

const (
	day      = 24 * time.Hour
	newStore = east + prod + "/new"
	newKeys  = newStore + "/partitions/p/keys"
)

func (c client) advance(d time.Duration) {
	c.t.Helper()
	if err := c.e.Advance(d); err != nil {
		c.t.Fatalf("Advance(%v): %v", d, err)
	}
}

func TestStoreComesBackAsThePageShowsIt(t *testing.T) {
	c := one(t)
	want := `{"storeId":"APP_demo__defaultPersistentObjectStore","encrypted":true,"permanentOsFlag":false,"persistent":true,"defaultTtlSeconds":2592000,"defaultConfirmationTtlSeconds":600,"isFixedTtl":null}`
	if got := c.get(demo).body; got != want {
		t.Errorf("the store is %s, want %s", got, want)
	}
	if got := c.get(east + prod).body; got != `{"values":[`+want+`],"nextPageToken":null}` {
		t.Errorf("the stores are %s", got)
	}
	if got := c.get(demo + "/partitions").body; got != `{"values":["DEFAULT_PARTITION"],"nextPageToken":null}` {
		t.Errorf("the partitions are %s", got)
	}
}

func TestStoreIsMadeAndChangedByItsAttributes(t *testing.T) {
	c := one(t)
	for _, step := range []struct{ name, method, body, want string }{
		{"without a body", "PUT", "", `"encrypted":true,"permanentOsFlag":false,"persistent":true,"defaultTtlSeconds":2592000,"defaultConfirmationTtlSeconds":600,"isFixedTtl":null`},
		{"with all", "PUT", `{"storeId":"new","encrypted":false,"permanentOsFlag":true,"persistent":false,"defaultTtlSeconds":60,"defaultConfirmationTtlSeconds":5,"isFixedTtl":true,"maximumEntries":7}`,
			`"encrypted":false,"permanentOsFlag":true,"persistent":false,"defaultTtlSeconds":60,"defaultConfirmationTtlSeconds":5,"isFixedTtl":true`},
		{"one of them", "PATCH", `{"defaultTtlSeconds":90}`, `"encrypted":false,"permanentOsFlag":true,"persistent":false,"defaultTtlSeconds":90,"defaultConfirmationTtlSeconds":5,"isFixedTtl":true`},
		{"again: defaults", "PUT", `{}`, `"encrypted":true,"permanentOsFlag":false,"persistent":true,"defaultTtlSeconds":2592000,"defaultConfirmationTtlSeconds":600,"isFixedTtl":null`},
	} {
		if got := c.must(http.StatusOK, step.method, newStore, step.body).body; got != "" {
			t.Errorf("%s: the answer is %s", step.name, got)
		}
		if got := c.get(newStore).body; got != `{"storeId":"new",`+step.want+`}` {
			t.Errorf("%s: the store is %s", step.name, got)
		}
	}
	c.put(newKeys+"/k", "v")
	c.must(http.StatusOK, http.MethodPut, newStore, `{"defaultTtlSeconds":60}`)
	if got := c.value(newKeys + "/k"); got != "v" {
		t.Errorf("PUT of an existing store: the value of its key is %q", got)
	}
	got := one(t, "write-body=object").must(http.StatusOK, http.MethodPut, newStore, `{"isFixedTtl":false}`).body
	if !strings.Contains(got, `"isFixedTtl":false`) {
		t.Errorf("write-body=object: the answer is %s", got)
	}
}

// "If the entryTtl value specified is greater than 30 days, the value defaults to
// 2592000 seconds (30 days), without returning an error."
func TestTTLOutOfBoundsSilentlyBecomes30Days(t *testing.T) {
	c := one(t)
	for sent, want := range map[string]int{"2592000": 2592000, "2592001": 2592000, "9999999999": 2592000, "0": 2592000, "-5": 2592000, "1": 1} {
		for _, method := range []string{http.MethodPut, http.MethodPatch} {
			c.must(http.StatusOK, method, newStore, `{"defaultTtlSeconds":`+sent+`}`)
			if got := c.get(newStore).body; !strings.Contains(got, fmt.Sprintf(`"defaultTtlSeconds":%d,`, want)) {
				t.Errorf("%s %s: the answer is %s", method, sent, got)
			}
		}
	}
}

func TestStoreThatIsNotRightIsRefusedAndNotMade(t *testing.T) {
	c := one(t)
	for name, body := range map[string]string{
		"other storeId":    `{"storeId":"other"}`,
		"TTL a string":     `{"defaultTtlSeconds":"60"}`,
		"TTL a fraction":   `{"defaultTtlSeconds":1.5}`,
		"encrypted string": `{"encrypted":"false"}`,
		"fixed a number":   `{"isFixedTtl":1}`,
		"maximum a string": `{"maximumEntries":"7"}`,
		"no object":        `[]`,
		"malformed":        `{`,
	} {
		t.Run(name, func(t *testing.T) {
			c.must(http.StatusBadRequest, http.MethodPut, newStore, body)
			c.must(http.StatusNotFound, http.MethodGet, newStore, "")
		})
	}
	c.must(http.StatusBadRequest, http.MethodPatch, demo, `{}`)
	c.must(http.StatusBadRequest, http.MethodPatch, demo, `{"storeId":"`+demoStore+`"}`)
	c.must(http.StatusUnsupportedMediaType, http.MethodPatch, demo, ``)
}

func TestPartitionBeginsWithItsFirstKeyAndStays(t *testing.T) {
	c := one(t)
	c.must(http.StatusOK, http.MethodPut, newStore, "")
	c.must(http.StatusNotFound, http.MethodHead, newStore+"/partitions/p", "")
	c.put(newKeys+"/k", "v")
	c.must(http.StatusNoContent, http.MethodHead, newStore+"/partitions/p", "")
	c.must(http.StatusNoContent, http.MethodDelete, newKeys+"/k", "")
	c.must(http.StatusNoContent, http.MethodHead, newStore+"/partitions/p", "")
	if got := c.get(newKeys).body; got != `{"values":[],"nextPageToken":null}` {
		t.Errorf("the keys of an empty partition are %s", got)
	}
}

func TestDeletionTakesAllThatIsBelow(t *testing.T) {
	for _, row := range []struct{ target, below, stays string }{
		{newStore, newStore, ""},
		{newStore + "/partitions", newStore + "/partitions/p", newStore},
		{newStore + "/partitions/p", newStore + "/partitions/p", newStore + "/partitions/q/keys/k"},
		{newKeys, newKeys + "/k", newStore + "/partitions/p"},
		{newKeys + "/k", newKeys + "/k", newKeys + "/other"},
	} {
		c := one(t)
		c.must(http.StatusOK, http.MethodPut, newStore, "")
		for _, key := range []string{"p/keys/k", "p/keys/other", "q/keys/k"} {
			c.put(newStore+"/partitions/"+key, "v")
		}
		c.must(http.StatusNoContent, http.MethodDelete, row.target, "")
		if got := c.get(row.below).status; got != http.StatusNotFound {
			t.Errorf("DELETE %s: the answer for %s is %d after it", row.target, row.below, got)
		}
		if got := c.get(newKeys + "/k").status; got != http.StatusNotFound {
			t.Errorf("DELETE %s: the answer for the key is %d after it", row.target, got)
		}
		if row.stays != "" {
			if got := c.get(row.stays).status; got != http.StatusOK {
				t.Errorf("DELETE %s: the answer for %s is %d after it", row.target, row.stays, got)
			}
		}
		c.must(http.StatusOK, http.MethodPut, newStore, "") // the second answer is empty
		c.put(newKeys+"/later", "v")
		if got := c.get(newKeys + "/k").status; got != http.StatusNotFound {
			t.Errorf("DELETE %s: the key exists again", row.target)
		}
	}
}

func TestObjectsOfAPartitionShowTheRequestedParts(t *testing.T) {
	c := one(t)
	c.must(http.StatusOK, http.MethodPut, newStore, "")
	c.must(http.StatusCreated, http.MethodPut, newKeys+"/a", `{"stringValue":"s","metadata":{"m":"1"},"index":3}`)
	c.must(http.StatusCreated, http.MethodPut, newKeys+"/b", `{"numberValue":7}`)
	for query, want := range map[string]string{
		"":                    `{"index":3,"keyId":"a","metadata":{"m":"1"},"valueType":"STRING"},{"index":0,"keyId":"b","metadata":"","valueType":"NUMBER"}`,
		"?inclusion=metadata": `{"index":3,"keyId":"a","metadata":{"m":"1"},"valueType":"STRING"},{"index":0,"keyId":"b","metadata":"","valueType":"NUMBER"}`,
		"?inclusion=body":     `{"index":3,"keyId":"a","stringValue":"s","valueType":"STRING"},{"index":0,"keyId":"b","numberValue":7,"valueType":"NUMBER"}`,
		"?inclusion=all":      `{"index":3,"keyId":"a","metadata":{"m":"1"},"stringValue":"s","valueType":"STRING"},{"index":0,"keyId":"b","metadata":"","numberValue":7,"valueType":"NUMBER"}`,
	} {
		if got := c.get(newStore + "/partitions/p" + query).body; got != `{"values":[`+want+`],"nextPageToken":null}` {
			t.Errorf("%q: the answer is %s", query, got)
		}
	}
	c.must(http.StatusBadRequest, http.MethodGet, newStore+"/partitions/p?inclusion=values", "")
}

func TestListsComeInPagesOf25(t *testing.T) {
	c := one(t)
	for _, n := range []int{24, 25, 26, 60} {
		store := fmt.Sprintf("%s%s/s%d", east, prod, n)
		c.must(http.StatusOK, http.MethodPut, store, "")
		var want []string
		for i := range n {
			key := fmt.Sprintf("k%02d", (i*37)%n)
			c.put(store+"/partitions/p/keys/"+key, "v")
			want = append(want, `{"keyId":"`+key+`"}`)
		}
		got, pages := c.list(store + "/partitions/p/keys")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d keys: %s", n, diff)
		}
		if pages != (n+24)/25 {
			t.Errorf("%d keys: the list has %d pages", n, pages)
		}
		if objects, pages := c.list(store + "/partitions/p?inclusion=all"); len(objects) != n || pages != (n+24)/25 {
			t.Errorf("%d objects: the list has %d on %d pages", n, len(objects), pages)
		}
	}
	for i := range 60 {
		c.must(http.StatusOK, http.MethodPut, fmt.Sprintf("%s%s/t%02d", east, prod, i), "")
		c.put(fmt.Sprintf("%s/partitions/p%02d/keys/k", demo, i), "v")
	}
	if stores, pages := c.list(east + prod); len(stores) != 65 || pages != 3 {
		t.Errorf("the list has %d stores on %d pages, want 65 on 3", len(stores), pages)
	}
	if stores, pages := c.list(east + prod + "?beginsWith=t"); len(stores) != 60 || pages != 3 {
		t.Errorf("the list has %d stores with a prefix on %d pages, want 60 on 3", len(stores), pages)
	}
	if partitions, pages := c.list(demo + "/partitions"); len(partitions) != 61 || pages != 3 {
		t.Errorf("the list has %d partitions on %d pages, want 61 on 3", len(partitions), pages)
	}
}

func TestPageSizeIsAtMost25(t *testing.T) {
	c := one(t)
	for i := range 30 {
		c.put(fmt.Sprintf("%s/k%02d", demoKeys, i), "v")
	}
	for query, want := range map[string]int{"": 25, "?pageSize=25": 25, "?pageSize=1": 1, "?pageSize=7": 7, "?pageSize=26": 25, "?pageSize=1000": 25} {
		if got := len(decode[page](t, c.get(demoKeys+query)).Values); got != want {
			t.Errorf("%q: the answer is %d, want %d", query, got, want)
		}
	}
	for _, size := range []string{"0", "-1", "x", "1.5", "99999999999999999999", "1&pageSize=2"} {
		c.must(http.StatusBadRequest, http.MethodGet, demoKeys+"?pageSize="+size, "")
	}
	one(t, "page-size=400").must(http.StatusBadRequest, http.MethodGet, demoKeys+"?pageSize=26", "")
}

func TestListOrderIsAsChosen(t *testing.T) {
	for choice, want := range map[string][]string{
		"list-order=insertion": {`{"keyId":"KeyTwo"}`, `{"keyId":"KeyOne"}`, `{"keyId":"A"}`},
		"list-order=name":      {`{"keyId":"A"}`, `{"keyId":"KeyOne"}`, `{"keyId":"KeyTwo"}`},
	} {
		c := one(t, choice)
		c.put(demoKeys+"/A", "v")
		for _, size := range []string{"25", "2", "1"} {
			if got, _ := c.list(demoKeys + "?pageSize=" + size); !slices.Equal(got, want) {
				t.Errorf("%s, %s per page: the list is %v, want %v", choice, size, got, want)
			}
		}
	}
}

// An item that exists from the first page to the last is listed exactly once, whatever
// items are added or removed between two pages, even the one at which a page token
// begins.
func TestPageTokenStaysGoodWhileEntriesChange(t *testing.T) {
	for _, list := range []string{demoKeys, demoKeys + "?beginsWith=k"} {
		for _, choice := range []string{"list-order=insertion", "list-order=name"} {
			c := one(t, choice)
			for i := range 100 {
				c.put(fmt.Sprintf("%s/k%03d", demoKeys, i), "v")
			}
			first := decode[page](t, c.get(list))
			var last string
			for _, v := range first.Values {
				last = strings.TrimSuffix(strings.TrimPrefix(string(v), `{"keyId":"`), `"}`)
			}
			c.must(http.StatusNoContent, http.MethodDelete, demoKeys+"/"+last, "")
			for i := 10; i < 15; i++ {
				c.must(http.StatusNoContent, http.MethodDelete, fmt.Sprintf("%s/k%03d", demoKeys, i), "")
			}
			for i := range 100 { // every second one of the others is removed, in the order of names
				if name := fmt.Sprintf("k%03d", i); i > 40 && i%2 == 1 && name != last {
					c.must(http.StatusNoContent, http.MethodDelete, demoKeys+"/"+name, "")
				}
			}
			c.put(demoKeys+"/"+last, "back")
			seen := map[string]int{}
			for _, v := range first.Values {
				seen[string(v)]++
			}
			rest, _ := c.follow(list, *first.NextPageToken)
			for _, v := range rest {
				seen[v]++
			}
			for i := 42; i < 100; i += 2 {
				key := fmt.Sprintf(`{"keyId":"k%03d"}`, i)
				if seen[key] != 1 {
					t.Errorf("%s %s: %s was listed %d times", choice, list, key, seen[key])
				}
			}
		}
	}
}

func TestInventedPageTokenIsRefused(t *testing.T) {
	c := one(t)
	for i := range 60 {
		c.put(fmt.Sprintf("%s/k%02d", demoKeys, i), "v")
		c.put(fmt.Sprintf("%s/partitions/other/keys/k%02d", demo, i), "v")
	}
	token := *decode[page](t, c.get(demoKeys)).NextPageToken
	c.must(http.StatusOK, http.MethodGet, demoKeys+"?nextPageToken="+token, "")
	c.must(http.StatusOK, http.MethodGet, demoKeys+"?nextPageToken=", "")
	for name, target := range map[string]string{
		"a word":              demoKeys + "?nextPageToken=k24",
		"not base64":          demoKeys + "?nextPageToken=%21",
		"too short":           demoKeys + "?nextPageToken=AAAA",
		"altered":             demoKeys + "?nextPageToken=" + token[:len(token)-2] + "AA",
		"shortened":           demoKeys + "?nextPageToken=" + token[:len(token)-4],
		"of another list":     demo + "/partitions/other/keys?nextPageToken=" + token,
		"of another kind":     demo + "/partitions/DEFAULT_PARTITION?nextPageToken=" + token,
		"with another prefix": demoKeys + "?beginsWith=k&nextPageToken=" + token,
		"of another region":   strings.Replace(demoKeys, "us-east-1", "us-east-2", 1) + "?nextPageToken=" + token,
		"twice":               demoKeys + "?nextPageToken=" + token + "&nextPageToken=" + token,
	} {
		if got := c.get(target); got.status != http.StatusBadRequest {
			t.Errorf("%s: the answer is %d %s", name, got.status, got.body)
		}
	}
}

func TestReadsDoNotExtendAFixedTTL(t *testing.T) {
	c := one(t)
	c.must(http.StatusOK, http.MethodPut, newStore, `{"defaultTtlSeconds":100,"isFixedTtl":true}`)
	c.put(newKeys+"/k", "v")
	c.advance(60 * time.Second)
	c.value(newKeys + "/k")
	c.list(newKeys)
	c.advance(39 * time.Second)
	if got := c.value(newKeys + "/k"); got != "v" {
		t.Errorf("after 99 s of 100: %q", got)
	}
	c.advance(2 * time.Second)
	if got := c.value(newKeys + "/k"); got != "Not Found" {
		t.Errorf("after 101 s of 100: %q", got)
	}
	if keys, _ := c.list(newKeys); len(keys) != 0 {
		t.Errorf("after 101 s with a TTL of 100 s the keys are %v", keys)
	}
	c.must(http.StatusCreated, http.MethodPut, newKeys+"/k", `{"stringValue":"w"}`)
	c.advance(60 * time.Second)
	c.must(http.StatusOK, http.MethodPut, newKeys+"/k", `{"stringValue":"x"}`) // a write starts a new life
	c.advance(60 * time.Second)
	if got := c.value(newKeys + "/k"); got != "x" {
		t.Errorf("60 s after a write: %q", got)
	}
}

// A read counts in the last 7 of the 30 days.
func TestRollingTTLIsExtendedByReadsOfTheLastSevenDays(t *testing.T) {
	for name, row := range map[string]struct {
		readAt  time.Duration
		read    func(client)
		extends bool
	}{
		"not read":                   {24 * day, func(client) {}, false},
		"GET early":                  {22 * day, func(c client) { c.value(demoKeys + "/KeyOne") }, false},
		"GET late":                   {24 * day, func(c client) { c.value(demoKeys + "/KeyOne") }, true},
		"list of keys late":          {24 * day, func(c client) { c.list(demoKeys) }, true},
		"list of objects late":       {24 * day, func(c client) { c.list(demo + "/partitions/DEFAULT_PARTITION") }, true},
		"list without it":            {24 * day, func(c client) { c.list(demoKeys + "?beginsWith=KeyT") }, false},
		"HEAD late":                  {24 * day, func(c client) { c.do(http.MethodHead, demoKeys+"/KeyOne", "") }, false},
		"HEAD of the partition late": {24 * day, func(c client) { c.do(http.MethodHead, demo+"/partitions/DEFAULT_PARTITION", "") }, false},
		"PUT early":                  {2 * day, func(c client) { c.put(demoKeys+"/KeyOne", "Key 1 value") }, true},
		"PUT of another key late":    {24 * day, func(c client) { c.put(demoKeys+"/other", "v") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := one(t)
			c.advance(row.readAt)
			c.token = as(t, c.e, "us", "one").token
			row.read(c)
			c.advance(30*day - row.readAt + time.Minute)
			c.token = as(t, c.e, "us", "one").token
			got := c.value(demoKeys + "/KeyOne")
			if (got == "Key 1 value") != row.extends {
				t.Errorf("a minute after the 30 days: %q", got)
			}
		})
	}
}

func TestNewTTLIsForWhatIsWrittenLater(t *testing.T) {
	c := one(t)
	c.must(http.StatusOK, http.MethodPut, newStore, `{"defaultTtlSeconds":1000,"isFixedTtl":true}`)
	c.put(newKeys+"/before", "v")
	c.must(http.StatusOK, http.MethodPatch, newStore, `{"defaultTtlSeconds":10}`)
	c.put(newKeys+"/after", "v")
	c.advance(11 * time.Second)
	if got := c.value(newKeys + "/before"); got != "v" {
		t.Errorf("written before: %q", got)
	}
	if got := c.value(newKeys + "/after"); got != "Not Found" {
		t.Errorf("written after: %q", got)
	}
}

func TestClockGoesForwardOnly(t *testing.T) {
	e := start(t, emulator.Options{})
	for _, d := range []time.Duration{-1, 51 * 365 * day} {
		if err := e.Advance(d); err == nil {
			t.Errorf("Advance(%v): no error", d)
		}
	}
}
