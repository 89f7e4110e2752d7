package emulator_test

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"osgate/emulator"
)

// bigKeys are the keys of the partition that filled creates.
const bigKeys = east + prod + "/big/partitions/p/keys"

// filled returns a client of an emulator with a partition of n keys.
func filled(tb testing.TB, n int) client {
	tb.Helper()
	w := emulator.BuiltInWorld()
	w.Stores = append(w.Stores, emulator.Store{ID: "big", Environment: "env-prod", Locations: []string{"us/us-east-1"}})
	for i := range n {
		value := fmt.Sprintf("value %026d", i)
		w.Entries = append(w.Entries, emulator.Entry{Environment: "env-prod", Store: "big", Partition: "p", Key: fmt.Sprintf("key-%07d", i), String: &value})
	}
	e := start(tb, emulator.Options{World: w})
	w.Entries = nil
	return as(tb, e, "us", "one")
}

// BenchmarkPageOfKeys: the time of a page does not grow with the partition, and does
// not depend on the page's beginning.
func BenchmarkPageOfKeys(b *testing.B) {
	for _, n := range []int{1_000, 100_000, 1_000_000} {
		c := filled(b, n)
		prefix := fmt.Sprintf("?beginsWith=key-%07d", n/2)
		prefix = prefix[:len(prefix)-2] // a hundred keys
		token := *decode[page](b, c.get(bigKeys+prefix)).NextPageToken
		for name, query := range map[string]string{"first": "", "prefix": prefix, "second-of-prefix": prefix + "&nextPageToken=" + token} {
			b.Run(fmt.Sprintf("of=%d/%s", n, name), func(b *testing.B) {
				for b.Loop() {
					c.must(http.StatusOK, http.MethodGet, bigKeys+query, "")
				}
			})
		}
	}
}

func BenchmarkGetKey(b *testing.B) {
	c := filled(b, 100_000)
	for b.Loop() {
		c.must(http.StatusOK, http.MethodGet, bigKeys+"/key-0050000", "")
	}
}

func BenchmarkPutKey(b *testing.B) {
	for name, o := range map[string]emulator.Options{"memory": {}, "data": {Data: b.TempDir()}} {
		b.Run(name, func(b *testing.B) {
			c := as(b, start(b, o), "us", "one")
			for i := 0; b.Loop(); i++ {
				c.put(fmt.Sprintf("%s/k%d", demoKeys, i%1000), "v")
			}
		})
	}
}

// A million entries stay within a gigabyte.
func BenchmarkMemoryOfEntries(b *testing.B) {
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		c := filled(b, 1_000_000)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "bytes/entry")
		b.ReportMetric(float64(after.HeapSys)/(1<<20), "MiB-heap-at-most")
		runtime.KeepAlive(c)
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		start(b, emulator.Options{})
	}
}

// After requests of many clients at once, under the race detector, each key has the
// last value of its client.
func TestConcurrentRequestsDoNotDisturbEachOther(t *testing.T) {
	e := start(t, emulator.Options{Seed: 1, AccountsRate: -1})
	done := make(chan string)
	const clients, rounds = 8, 20
	for n := range clients {
		c := as(t, e, "us", []string{"one", "two"}[n%2])
		go func() { done <- c.busy(n, rounds) }() // ends when its rounds are done
	}
	for range clients {
		if wrong := <-done; wrong != "" {
			t.Error(wrong)
		}
	}
	c := as(t, e, "us", "one")
	for n := range clients {
		if got := c.value(fmt.Sprintf("%s/own-%d", demoKeys, n)); got != fmt.Sprint(rounds-1) {
			t.Errorf("client %d reads %q after its last write", n, got)
		}
	}
}

// busy sends requests of several kinds and returns the first failure.
func (c client) busy(n, rounds int) string {
	own := fmt.Sprintf("%s/own-%d", demoKeys, n)
	for i := range rounds {
		for _, request := range [][3]string{
			{"PUT", own, fmt.Sprintf(`{"stringValue":"%d"}`, i)}, {"GET", own, ""},
			{"PUT", demoKeys + "/shared?confirmable=true", `{"stringValue":"s"}`}, {"DELETE", demoKeys + "/shared", ""},
			{"GET", demoKeys, ""}, {"GET", demo + "/partitions/DEFAULT_PARTITION?inclusion=all", ""}, {"GET", east + prod, ""},
			{"PUT", newStore, "{}"}, {"PUT", newKeys + "/k", `{"stringValue":"v"}`}, {"DELETE", newStore, ""},
			{"GET", "/us/accounts/api/me", ""}, {"GET", stats + anHour, ""}, {"GET", "/_osemu/requests", ""}, {"POST", "/_osemu/clock", `{"advance":"1ms"}`},
			{"PATCH", "/_osemu/clients/app-read", `{"scopes":["read:store"]}`}, {"PUT", "/_osemu/faults", `{}`},
		} {
			if i%10 != 0 && strings.HasPrefix(request[1], "/_osemu/requests") {
				continue
			}
			if got := c.do(request[0], request[1], request[2]); got.status >= 500 {
				return fmt.Sprintf("%v: the answer is %d %s", request, got.status, got.body)
			}
		}
	}
	return ""
}
