package e2e

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

const keyOne = demoKeys + "/KeyOne"

// countRequests returns the number of requests that osemu received for a target.
func (e *emulator) countRequests(method, target string) int {
	e.t.Helper()
	return len(e.requests(hasTarget(method, target)))
}

// TestASecondReadIsAnsweredFromTheCache counts the requests that osemu received, and
// checks the headers of a miss and a hit (RFC 9211, RFC 9111, RFC 9110 section 13).
func TestASecondReadIsAnsweredFromTheCache(t *testing.T) {
	t.Parallel()
	withAndWithoutRedis(t, func(t *testing.T, s *stack) {
		one := s.gateway().as("app-one")
		for _, target := range []string{keyOne, prodStores} {
			miss, hit := one.get(target).is(http.StatusOK), one.get(target).is(http.StatusOK)
			if n := s.emulator.countRequests("GET", target); n != 1 {
				t.Errorf("%s: osemu received %d requests, want 1", target, n)
			}
			if got, form := miss.header.Get("Cache-Status"), regexp.MustCompile(`^osgate; fwd=(uri-)?miss; stored$`); !form.MatchString(got) {
				t.Errorf("%s: first Cache-Status %q, want %v", target, got, form)
			}
			if got, form := hit.header.Get("Cache-Status"), regexp.MustCompile(`^osgate; hit; ttl=\d+$`); !form.MatchString(got) {
				t.Errorf("%s: second Cache-Status %q, want %v", target, got, form)
			}
			if hit.body != miss.body || hit.header.Get("Content-Type") != miss.header.Get("Content-Type") {
				t.Errorf("%s: the hit is %q, the miss was %q", target, hit.body, miss.body)
			}
			if age, err := strconv.Atoi(hit.header.Get("Age")); err != nil || age < 0 || age > 60 {
				t.Errorf("%s: Age %q, want seconds", target, hit.header.Get("Age"))
			}
			if miss.header.Get("Age") != "" {
				t.Errorf("%s: Age is %q on a miss, want none", target, miss.header.Get("Age"))
			}
			for _, a := range []*answer{miss, hit} {
				if got := a.header.Get("Cache-Control"); got != "private, no-cache" {
					t.Errorf("%s: Cache-Control %q, want private, no-cache", target, got)
				}
			}
			etag := hit.header.Get("ETag")
			if !strings.HasPrefix(etag, `W/"osg-`) {
				t.Errorf(`%s: ETag %q, want W/"osg-…"`, target, etag)
			}
			if a := one.get(target, "If-None-Match: "+etag); a.status != http.StatusNotModified || a.body != "" || a.header.Get("ETag") != etag {
				t.Errorf("%s: If-None-Match with its ETag: %d %q %v, want 304, no body, the ETag", target, a.status, a.body, a.header)
			}
			if n := s.emulator.countRequests("GET", target); n != 1 {
				t.Errorf("%s: osemu received %d requests, want 1", target, n)
			}
			one.get(target, `If-None-Match: "other"`).is(http.StatusOK)
			if one.get(target, "Cache-Control: no-cache").is(http.StatusOK); s.emulator.countRequests("GET", target) != 2 {
				t.Errorf("%s: osemu did not receive the read with no-cache", target)
			}
		}
	})
}

// TestValidatorsOfTheGatewayAreNotSentUpstream sends a validator of the gateway with a
// read that must go upstream, and with a write.
func TestValidatorsOfTheGatewayAreNotSentUpstream(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	one := s.gateway().as("app-one")
	one.get(keyOne).is(http.StatusOK)
	etag := one.get(keyOne).is(http.StatusOK).header.Get("ETag")
	s.emulator.clearRequests()
	one.get(keyOne, "Cache-Control: no-cache", "If-None-Match: "+etag)
	one.get(keyOne, "Cache-Control: no-cache", `If-None-Match: "theirs", `+etag)
	seen := s.emulator.requests(hasTarget("GET", keyOne))
	if len(seen) != 2 || seen[0].hasHeader("If-None-Match") || !seen[1].hasHeader("If-None-Match") {
		t.Errorf("osemu received %v, want If-None-Match only with the validator of another origin", seen)
	}
	one.send(http.MethodPut, keyOne, stringValue("KeyOne", "x"), "Content-Type: application/json", "If-Match: "+etag).is(http.StatusPreconditionFailed)
	if n := s.emulator.countRequests("PUT", keyOne); n != 0 {
		t.Errorf("osemu received a write with the gateway's own validator, want the gateway to refuse it")
	}
}

// TestWriteThroughAnyGatewayIsReadAtOnce reads after each kind of write. With Redis, it
// reads through another gateway.
func TestWriteThroughAnyGatewayIsReadAtOnce(t *testing.T) {
	t.Parallel()
	withAndWithoutRedis(t, func(t *testing.T, s *stack) {
		writer := s.gateway("RATE=0").as("app-one")
		reader := writer
		if s.redis != nil {
			reader = writer.via(s.gateway("RATE=0"))
		}
		const key = demoKeys + "/fresh"
		for i := range 20 {
			value := strconv.Itoa(i)
			writer.put("fresh", value).succeeded()
			for range 2 { // the second read from the cache, if allowed
				if a := reader.get(key).is(http.StatusOK); !strings.Contains(a.body, `"`+value+`"`) {
					t.Fatalf("after the write of %s a read returned %s (%s)", value, a.body, a.header.Get("Cache-Status"))
				}
			}
		}
		writer.send(http.MethodPost, key, stringValue("fresh", "posted"), "Content-Type: application/json").succeeded()
		if a := reader.get(key).is(http.StatusOK); !strings.Contains(a.body, "posted") {
			t.Errorf("after a POST a read returned %s", a.body)
		}
		writer.send(http.MethodDelete, key, "").succeeded()
		reader.get(key).is(http.StatusNotFound)
		reader.get(key).is(http.StatusNotFound) // a 404 may be cached for a moment, but not after a write
		writer.put("fresh", "again").succeeded()
		reader.get(key).is(http.StatusOK)

		reader.get(prodStores).is(http.StatusOK)
		writer.send(http.MethodPut, prodStores+"/made-here", `{"storeId":"made-here"}`, "Content-Type: application/json").succeeded()
		if a := reader.get(prodStores).is(http.StatusOK); !strings.Contains(a.body, "made-here") {
			t.Errorf("after a store was created the list is %s", a.body)
		}
		writer.send(http.MethodDelete, prodStores+"/made-here", "").succeeded()
		if a := reader.get(prodStores).is(http.StatusOK); strings.Contains(a.body, "made-here") {
			t.Errorf("after the store was deleted the list is %s", a.body)
		}
		reader.get(key).is(http.StatusOK)
		writer.send(http.MethodDelete, demoStore+"/partitions/DEFAULT_PARTITION", "").succeeded()
		reader.get(key).is(http.StatusNotFound)
	})
}

// TestClientsGetNoCachedAnswersOfOtherClients reads a cached key as another client, as
// a client with fewer rights, and as the same client after it lost its right.
func TestClientsGetNoCachedAnswersOfOtherClients(t *testing.T) {
	t.Parallel()
	withAndWithoutRedis(t, func(t *testing.T, s *stack) {
		g := s.gateway("RATE=0")
		one := g.as("app-one")
		one.get(keyOne).is(http.StatusOK)
		one.get(keyOne).is(http.StatusOK) // from the cache if possible

		two := g.as("app-two")
		two.get(demoKeys + "/KeyTwo").is(http.StatusOK) // Object Store permits this kind of read of this store for this token too
		s.emulator.clearRequests()
		two.get(keyOne).is(http.StatusOK)
		if n := s.emulator.countRequests("GET", keyOne); n != 1 {
			t.Errorf("a second client's read: osemu received %d requests, want 1", n)
		}
		g.as("app-read").get(keyOne).is(http.StatusForbidden)
		g.as("app-other").get(keyOne).is(http.StatusForbidden)
		if n := s.emulator.countRequests("GET", keyOne); n != 3 {
			t.Errorf("two clients without the right: osemu received %d requests in all, want 3", n)
		}

		s.emulator.setScopes("app-one", "read:store")
		narrow := g.as("app-one") // the same principal, but Object Store has never permitted this token's read
		narrow.get(keyOne).is(http.StatusForbidden)
		narrow.get(prodStores).is(http.StatusOK)
		narrow.get(keyOne).is(http.StatusForbidden)
	})
}

// TestConfirmableReadsAlwaysReachObjectStore: each of them changes state in Object
// Store.
func TestConfirmableReadsAlwaysReachObjectStore(t *testing.T) {
	t.Parallel()
	withAndWithoutRedis(t, func(t *testing.T, s *stack) {
		one := s.gateway().as("app-one")
		one.get(keyOne).is(http.StatusOK)
		const target = keyOne + "?confirmable=true"
		for range 2 {
			if a := one.get(target); strings.Contains(a.header.Get("Cache-Status"), "hit") || strings.Contains(a.header.Get("Cache-Status"), "stored") {
				t.Errorf("a confirmable read: Cache-Status is %q, want no hit", a.header.Get("Cache-Status"))
			}
		}
		if n := s.emulator.countRequests("GET", target); n != 2 {
			t.Errorf("two confirmable reads: osemu received %d requests, want 2", n)
		}
	})
}

// TestAKindTurnedOffIsNotCached sets the TTL of each kind to 0 in turn.
func TestAKindTurnedOffIsNotCached(t *testing.T) {
	t.Parallel()
	for setting, target := range map[string]string{"CACHE_KEY_TTL=0": keyOne, "CACHE_STORES_TTL=0": prodStores} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, false)
			one := s.gateway(setting).as("app-one")
			one.get(target).is(http.StatusOK)
			one.get(target).is(http.StatusOK)
			if n := s.emulator.countRequests("GET", target); n != 2 {
				t.Errorf("osemu received %d requests, want 2", n)
			}
		})
	}
}

// TestRemovedScopeEndsHitsWithinAuthTTL reads a cached key with a token whose client
// loses the right to read it. The entry outlives the test, so that only the end of the
// grant causes the refusal. cache.TestRightThatIsTakenAwayEndsWithinTheGrantTTL proves
// the exact time, in fake time.
func TestRemovedScopeEndsHitsWithinAuthTTL(t *testing.T) {
	t.Parallel()
	withAndWithoutRedis(t, func(t *testing.T, s *stack) {
		one := s.gateway("RATE=0", "AUTH_TTL=1s", "CACHE_KEY_TTL=1h", "SECRET="+strings.Repeat("A", 43)).as("app-one")
		one.get(keyOne).is(http.StatusOK)
		s.emulator.setScopes("app-one", "read:store")
		eventuallyWithin(t, time.Second, "the refusal", func() bool { return one.get(keyOne).status == http.StatusForbidden })
	})
}
