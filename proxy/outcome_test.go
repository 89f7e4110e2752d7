package proxy

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"osgate/cache"
)

func TestOutcomeOfAWriteGoesByTheStatus(t *testing.T) {
	for status, want := range map[int]struct{ member, stranger cache.WriteOutcome }{
		100: {cache.Unknown, cache.Unknown},
		200: {cache.Applied, cache.Applied},
		204: {cache.Applied, cache.Applied},
		304: {cache.Unknown, cache.Unknown},
		400: {cache.Refused, cache.Refused},
		401: {cache.Refused, cache.Refused},
		403: {cache.Refused, cache.Refused},
		404: {cache.Mismatched, cache.Refused},
		408: {cache.Unknown, cache.Unknown},
		409: {cache.Mismatched, cache.Mismatched},
		410: {cache.Mismatched, cache.Mismatched},
		412: {cache.Mismatched, cache.Mismatched},
		413: {cache.Refused, cache.Refused},
		429: {cache.Refused, cache.Refused},
		500: {cache.Unknown, cache.Unknown},
		503: {cache.Unknown, cache.Unknown},
		600: {cache.Unknown, cache.Unknown},
	} {
		if got := outcomeOf(status, false); got != want.member {
			t.Errorf("%d to a member: %v, want %v", status, got, want.member)
		}
		if got := outcomeOf(status, true); got != want.stranger {
			t.Errorf("%d to a stranger: %v, want %v", status, got, want.stranger)
		}
	}
}

// TestStrangersWhoseWritesAreRefusedAreSlowed also checks that a write that upstream
// accepts never counts, nor does a write of a member.
func TestStrangersWhoseWritesAreRefusedAreSlowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status := http.StatusOK
		g := newRig(t)
		g.upstream = func(*http.Request) (*http.Response, error) { return reply(status, "{}"), nil }
		patch := func(token, path string) int {
			w := g.do(request(t, "PATCH "+path+"?confirmable=true", "Authorization: Bearer "+token))
			if w.Code == http.StatusTooManyRequests && (codeOf(t, w) != "over-quota" || w.Header().Get("Retry-After") != "1") {
				t.Errorf("%s, Retry-After %q", w.Body, w.Header().Get("Retry-After"))
			}
			return w.Code
		}
		for range 3 * strangerRefusals.Burst {
			if got := patch("other", storePath); got != status {
				t.Fatalf("a stranger's write that upstream accepts: %d", got)
			}
		}
		status = http.StatusForbidden
		for n := range 2 * strangerRefusals.Burst {
			if got, want := patch("other", storePath), map[bool]int{true: 403, false: 429}[n < strangerRefusals.Burst]; got != want {
				t.Errorf("refused write %d of a stranger: %d, want %d", n, got, want)
			}
			if got := patch("two", storePath); got != status {
				t.Errorf("a member's write: %d", got)
			}
		}
		if got := patch("other", storePath+"2"); got != status {
			t.Errorf("its write to another store: %d", got)
		}
		if w := g.get("other", keyPath); w.Code != status {
			t.Errorf("its read: %d", w.Code)
		}
		<-time.After(time.Second)
		if got := patch("other", storePath); got != status {
			t.Errorf("a second later: %d", got)
		}
	})
}

// TestWriteThatUpstreamRefusesLeavesTheHitsOfOthers checks every operation that is a
// write for the cache.
func TestWriteThatUpstreamRefusesLeavesTheHitsOfOthers(t *testing.T) {
	for _, write := range []string{
		"PATCH " + storePath + "?confirmable=true", "PUT " + storePath, "DELETE " + storePath, "PUT " + keyPath, "DELETE " + keyPath,
		"PUT " + keyPath + "?confirmable=true", "GET " + keyPath + "?confirmable=true", "HEAD " + keyPath + "?confirmable=true",
		"PATCH " + keyPath + "/confirmations/c", "DELETE " + keyPath + "/confirmations/c", "DELETE " + storePath + "/partitions/p",
	} {
		for token, status := range map[string]int{"other": http.StatusNotFound, "two": http.StatusForbidden} {
			t.Run(token+" "+write, func(t *testing.T) {
				g := newRig(t)
				g.upstream = func(r *http.Request) (*http.Response, error) {
					if r.Header.Get("Authorization") != "Bearer one" {
						return reply(status, "{}"), nil
					}
					return reply(http.StatusOK, "v"), nil
				}
				paths := []string{keyPath, storePath, strings.TrimSuffix(storePath, "/s")}
				for _, path := range paths {
					g.get("one", path)
				}
				if w := g.do(request(t, write, "Authorization: Bearer "+token)); w.Code != status {
					t.Fatalf("the write: %d %s", w.Code, w.Body)
				}
				for _, path := range paths {
					if w := g.get("one", path); !strings.Contains(w.Header().Get("Cache-Status"), "; hit") {
						t.Errorf("GET %s after it: %q, want a hit", path, w.Header().Get("Cache-Status"))
					}
				}
			})
		}
	}
}
