package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// TestACacheRuleTurnsTheCacheOffByPlace: a rule turns the cache off for a store that
// others write without the gateway.
func TestACacheRuleTurnsTheCacheOffByPlace(t *testing.T) {
	t.Parallel()
	withAndWithoutRedis(t, func(t *testing.T, s *stack) {
		one := s.gateway("RATE=0", "CACHE_RULES=org-root/env-prod/APP_demo*=off,org-root=1h").as("app-one")
		other := strings.Replace(demoKeys, "env-prod", "env-sandbox", 1)
		for range 2 {
			if got := one.get(demoKeys + "/KeyOne").is(http.StatusOK).header.Get("Cache-Status"); got != "osgate; fwd=bypass; detail=rule" {
				t.Errorf("a store with its cache turned off: %s", got)
			}
		}
		one.get(other + "/KeyOne").is(http.StatusOK)
		if got := one.get(other + "/KeyOne").is(http.StatusOK).header.Get("Cache-Status"); !strings.HasPrefix(got, "osgate; hit") {
			t.Errorf("another environment: %s", got)
		}
	})
}

// TestClientsCannotForceMissesWithoutCacheClientControl: Postman and HttpURLConnection
// send Cache-Control: no-cache with each request.
func TestClientsCannotForceMissesWithoutCacheClientControl(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	for setting, want := range map[string]string{"true": "osgate; fwd=request; stored; detail=no-cache", "false": "osgate; hit"} {
		one := s.gateway("RATE=0", "CACHE_CLIENT_CONTROL="+setting).as("app-one")
		one.get(demoKeys + "/KeyOne").is(http.StatusOK)
		got := one.send(http.MethodGet, demoKeys+"/KeyOne", "", "Cache-Control: no-cache", "Pragma: no-cache").is(http.StatusOK).header.Get("Cache-Status")
		if !strings.HasPrefix(got, want) {
			t.Errorf("CACHE_CLIENT_CONTROL=%s: %s, want %s", setting, got, want)
		}
	}
}
