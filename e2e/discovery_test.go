package e2e

import (
	"net/http"
	"strings"
	"sync"
	"testing"
)

const ordersStore = prodStores + "/APP_orders__defaultPersistentObjectStore"

// TestStoreIsFoundInItsRegion creates a store in a region, and reads it through a base
// URL without a region.
func TestStoreIsFoundInItsRegion(t *testing.T) {
	t.Parallel()
	withAndWithoutRedis(t, func(t *testing.T, s *stack) {
		g := s.gateway("DISCOVER=true", "DEFAULT_REGION=", "RATE=0", "PLANES=us", "CACHE_KEY_TTL=0")
		one := g.as("app-one")
		one.send(http.MethodPut, "/us/us-west-2"+ordersStore, `{"storeId":"APP_orders__defaultPersistentObjectStore"}`, "Content-Type: application/json").succeeded()
		s.emulator.clearRequests()
		const key = ordersStore + "/partitions/DEFAULT_PARTITION/keys/k"
		var all sync.WaitGroup
		for range 20 { // both wait for one search
			all.Go(func() {
				if a, err := one.try(http.MethodGet, key, ""); err != nil || a.status != http.StatusNotFound || a.header.Get("X-Osgate-Region") != "us/us-west-2" {
					t.Errorf("%v %v", a, err)
				}
			})
		}
		all.Wait()
		one.send(http.MethodPut, key, stringValue("k", "v"), "Content-Type: application/json").succeeded()
		one.get(key).is(http.StatusOK)
		hosts := map[string]int{}
		for _, r := range s.emulator.requests(hasTarget(http.MethodGet, ordersStore)) {
			hosts[r.Host]++
		}
		for host, n := range hosts {
			if n != 1 {
				t.Errorf("%s received %d requests for the store, want one", host, n)
			}
		}
		if len(hosts) < 2 {
			t.Errorf("the requests went to %v, want every region of the plane", hosts)
		}
	})
}

// TestStoreThatExistsInSeveralRegionsNeedsARegion reads the store that the built-in
// world has in each region.
func TestStoreThatExistsInSeveralRegionsNeedsARegion(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	g := s.gateway("DISCOVER=true", "DEFAULT_REGION=", "REGIONS=us/us-east-1,us/us-west-2")
	one := g.as("app-one")
	a := one.get(keyOne)
	a.checkRefusal(http.StatusBadRequest, "region-unknown")
	if !strings.Contains(a.body, "us/us-east-1, us/us-west-2") {
		t.Errorf("the refusal does not name the regions: %s", a.body)
	}
	one.get(keyOne, "X-Osgate-Region: us/us-west-2").is(http.StatusOK)
}
