package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// TestNoSecretIsEverWritten sends all kinds of requests at the most detailed log level.
// At its end the output is searched for the stack's secrets, as in every other test,
// and here for values and keys too.
func TestNoSecretIsEverWritten(t *testing.T) {
	t.Parallel()
	withAndWithoutRedis(t, func(t *testing.T, s *stack) {
		for _, secret := range []string{"a-key-not-to-be-shown", "a-value-not-to-be-shown", "a-query-not-to-be-shown", "redis-password-not-to-be-shown"} {
			s.addSecret(secret)
		}
		g := s.gateway("LOG_LEVEL=debug", "RATE_MAX_WAIT=0", "UPSTREAM_TIMEOUT=500ms", "SECRET=MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
		s.addSecret("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE")
		one := g.as("app-one")
		use := func() {
			one.put("a-key-not-to-be-shown", "a-value-not-to-be-shown")
			one.get(demoKeys + "/a-key-not-to-be-shown")
			one.get(demoKeys + "/a-key-not-to-be-shown?x=a-query-not-to-be-shown")
			one.get(demoKeys + "/a-key-not-to-be-shown/..")
			one.get("/a-key-not-to-be-shown")
			one.send(http.MethodDelete, demoKeys+"/a-key-not-to-be-shown", "")
		}
		use()
		for _, fault := range []string{"reset=1", "500=1", "cut=1"} {
			s.emulator.setFault("", fault)
			for _, request := range []string{"PUT", "GET"} {
				_, _ = one.try(request, demoKeys+"/a-key-not-to-be-shown", stringValue("a-key-not-to-be-shown", "a-value-not-to-be-shown")) // a cut answer is no answer
			}
		}
		s.emulator.setFault("", "")
		bad := g.client()
		bad.token = "a-token-not-to-be-shown"
		s.addSecret(bad.token)
		bad.get(keyOne).is(http.StatusUnauthorized)
		g.client().send(http.MethodPost, "/accounts/login", `{"username":"admin","password":"a-password-not-to-be-shown"}`, "Content-Type: application/json")
		s.addSecret("a-password-not-to-be-shown")
		page := client{t: t, base: g.admin}
		for _, path := range []string{"/metrics", "/config", "/readyz"} {
			text := page.get(path).is(http.StatusOK).body
			for _, secret := range append(s.allSecrets(), one.token) {
				if strings.Contains(text, secret) {
					t.Errorf("%s shows %q", path, secret)
				}
			}
		}
		if s.redis == nil {
			return
		}
		keys := s.redis.keyNames(t)
		for _, secret := range append(s.allSecrets(), "app-one", one.token) {
			if strings.Contains(keys, secret) {
				t.Errorf("Redis keys hold %q: %s", secret, keys)
			}
		}
	})
}
