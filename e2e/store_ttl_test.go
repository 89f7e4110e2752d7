package e2e

import (
	"net/http"
	"testing"
	"time"
)

// TestALockIsNotServedAfterItExpired, except for a hundredth of its TTL, although no
// client has read the store's settings. The store's own clock decides when the lock has
// expired.
func TestALockIsNotServedAfterItExpired(t *testing.T) {
	t.Parallel()
	const ttl = 2 * time.Second
	withAndWithoutRedis(t, func(t *testing.T, s *stack) {
		store := prodStores + "/APP_locks"
		lock := store + "/partitions/p/keys/lock"
		direct := client{t: t, base: s.emulator.url + "/us/us-east-1", token: s.gateway("RATE=0").mint("app-one", "")}
		direct.send(http.MethodPut, store, `{"storeId":"APP_locks","defaultTtlSeconds":2,"isFixedTtl":true}`, "Content-Type: application/json").succeeded()
		direct.send(http.MethodPut, lock, `{"stringValue":"held"}`, "Content-Type: application/json").succeeded()
		one := s.gateway("RATE=0").as("app-one")
		s.emulator.clearRequests()
		one.get(lock).is(http.StatusOK)
		eventually(t, "the lock to expire in the store itself", func() bool { return direct.get(lock).status == http.StatusNotFound })
		for expired := time.Now(); ; {
			sent := time.Now()
			if a := one.get(lock); sent.Sub(expired) > ttl/100 {
				a.is(http.StatusNotFound)
				break
			}
		}
		if n := len(s.emulator.requests(hasTarget(http.MethodGet, store))); n != 1 {
			t.Errorf("osemu received %d requests for the store, want 1", n)
		}
	})
}
