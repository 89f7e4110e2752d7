package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// refusedWrites are requests that the cache treats as writes, and that upstream refuses
// for their caller.
var refusedWrites = []string{
	"PATCH " + demoStore + "?confirmable=true",
	"GET " + keyOne + "?confirmable=true",
	"HEAD " + keyOne + "?confirmable=true",
	"PUT " + keyOne + "?confirmable=true",
	"DELETE " + demoStore,
	"PUT " + keyOne,
}

// TestRefusedWriteKeepsTheHitsOfOtherClients sends writes that Object Store answers
// with 403: of a client of another organization, and of a member without the right.
func TestRefusedWriteKeepsTheHitsOfOtherClients(t *testing.T) {
	t.Parallel()
	for name, withRedis := range map[string]bool{"in process": false, "in Redis": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, withRedis)
			g := s.gateway("RATE=0", "CACHE_KEY_TTL=1h", "CACHE_STORES_TTL=1h", "AUTH_TTL=1h")
			one := g.as("app-one")
			paths := []string{keyOne, demoStore, prodStores}
			for _, path := range paths {
				eventually(t, "a hit", func() bool { return isHit(one.get(path)) })
			}
			for _, client := range []string{"app-other", "app-read"} {
				c := g.as(client)
				for _, write := range refusedWrites {
					method, target, _ := strings.Cut(write, " ")
					if a := c.send(method, target, "", "Content-Type: application/json"); a.status != http.StatusForbidden {
						t.Fatalf("%s %s: %d %s", client, write, a.status, a.body)
					}
					for _, path := range paths {
						eventually(t, "a hit after "+client+" "+write, func() bool { return isHitOrWriteInFlight(t, one.get(path)) })
					}
				}
			}
		})
	}
}

// isHitOrWriteInFlight reports whether an answer is a hit, and fails the test if the
// entry was invalidated. Until the lease of a write is released, the answer comes from
// Object Store.
func isHitOrWriteInFlight(t *testing.T, a *answer) bool {
	t.Helper()
	if !isHit(a) && !isWriteInFlight(a) {
		t.Errorf("Cache-Status is %q, want a hit: the refused write removed the entry", a.header.Get("Cache-Status"))
	}
	return isHit(a)
}

// TestClientThatKeepsLeasesOnAStoreIsReported: a client with the right to do so holds
// the lease of a confirmable write of a store.
func TestClientThatKeepsLeasesOnAStoreIsReported(t *testing.T) {
	t.Parallel()
	withAndWithoutRedis(t, func(t *testing.T, s *stack) {
		g := s.gateway()
		one := g.as("app-one")
		eventually(t, "a hit", func() bool { return isHit(one.get(keyOne)) })
		const keep = demoKeys + "/KeyOne?confirmable=true"
		for range 2 {
			one.get(keep).is(http.StatusOK)
		}
		if a := one.send(http.MethodPatch, demoStore+"?confirmable=true", `{"defaultTtlSeconds":1000}`, "Content-Type: application/json"); a.status >= 300 {
			t.Fatalf("PATCH store: %d %s", a.status, a.body)
		}
		if a := g.as("app-two").get(demoKeys + "/KeyTwo"); !isWriteInFlight(a) {
			t.Errorf("another client's read: Cache-Status %q, want write-in-flight", a.header.Get("Cache-Status"))
		}
		for range 3 {
			g.as("app-other").send(http.MethodDelete, demoStore, "").is(http.StatusForbidden)
		}
		metrics := (client{t: t, base: g.admin}).get("/metrics").body
		for _, want := range []string{
			`osgate_cache_leases{osgate_cache_lease="kept"} 3`, `osgate_cache_leases{osgate_cache_lease="under_way"} 0`,
			`osgate_cache_events_total{osgate_cache_event="write_applied"} 3`, `osgate_cache_events_total{osgate_cache_event="write_refused"} 3`,
		} {
			if !strings.Contains(metrics, "\n"+want+"\n") {
				t.Errorf("/metrics does not have %s", want)
			}
		}
		eventually(t, "the line that names the client", func() bool {
			log := g.stderr.String()
			return strings.Contains(log, `"msg":"a client keeps reads past the cache","client":"app-one"`) && !strings.Contains(log, `"client":"app-other"`)
		})
	})
}

// TestOtherOrganizationsCannotMakeReadsBypassTheCache: a client of another organization
// sends writes without a pause.
func TestOtherOrganizationsCannotMakeReadsBypassTheCache(t *testing.T) {
	t.Parallel()
	withAndWithoutRedis(t, func(t *testing.T, s *stack) {
		g := s.gateway("RATE=0")
		other := g.as("app-other")
		got := map[int]int{}
		for range 100 {
			a := other.send(http.MethodPatch, demoStore+"?confirmable=true", "{}", "Content-Type: application/json")
			if got[a.status]++; a.status == http.StatusTooManyRequests {
				a.checkRefusal(http.StatusTooManyRequests, "over-quota")
			}
		}
		if got[http.StatusForbidden] < 10 || got[http.StatusTooManyRequests] < 10 || got[http.StatusForbidden]+got[http.StatusTooManyRequests] != 100 {
			t.Errorf("100 writes of a stranger: %v, want some 403 of Object Store, and 429 beyond", got)
		}
		if n := s.emulator.countRequests(http.MethodPatch, demoStore+"?confirmable=true"); n != got[http.StatusForbidden] {
			t.Errorf("Object Store received %d of them", n)
		}
		one := g.as("app-one")
		eventually(t, "a hit", func() bool { return isHit(one.get(keyOne)) })
	})
}
