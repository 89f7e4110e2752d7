package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// refusedWrites are requests that are writes to the cache, of a caller that upstream refuses.
var refusedWrites = []string{
	"PATCH " + demoStore + "?confirmable=true",
	"GET " + keyOne + "?confirmable=true",
	"HEAD " + keyOne + "?confirmable=true",
	"PUT " + keyOne + "?confirmable=true",
	"DELETE " + demoStore,
	"PUT " + keyOne,
}

// TestRefusedWriteLeavesTheHitsOfOthers sends writes that Object Store answers with 403: of a client of another
// organization, and of a member without the right.
func TestRefusedWriteLeavesTheHitsOfOthers(t *testing.T) {
	t.Parallel()
	for name, withRedis := range map[string]bool{"in process": false, "in Redis": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, withRedis)
			g := s.gateway("RATE=0", "CACHE_KEY_TTL=1h", "CACHE_STORES_TTL=1h", "AUTH_TTL=1h")
			one := g.as("app-one")
			paths := []string{keyOne, demoStore, prodStores}
			for _, path := range paths {
				eventually(t, "a hit", func() bool { return hit(one.get(path)) })
			}
			for _, client := range []string{"app-other", "app-read"} {
				c := g.as(client)
				for _, write := range refusedWrites {
					method, target, _ := strings.Cut(write, " ")
					if a := c.send(method, target, "", "Content-Type: application/json"); a.status != http.StatusForbidden {
						t.Fatalf("%s %s: %d %s", client, write, a.status, a.body)
					}
					for _, path := range paths {
						eventually(t, "a hit after "+client+" "+write, func() bool { return undisturbed(t, one.get(path)) })
					}
				}
			}
		})
	}
}

// undisturbed reports whether an answer is a hit, and fails the test where the entry is gone. While a lease is on its way
// back the answer comes from Object Store.
func undisturbed(t *testing.T, a *answer) bool {
	t.Helper()
	if !hit(a) && !closed(a) {
		t.Errorf("Cache-Status %q, want a hit: the refused write cost the entry", a.header.Get("Cache-Status"))
	}
	return hit(a)
}
