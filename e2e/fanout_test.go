package e2e

import (
	"net/http"
	"sync"
	"testing"
)

// usRegions are the regions of the plane us.
var usRegions = []string{
	"us-east-1", "us-east-2", "us-west-1", "us-west-2", "ca-central-1", "sa-east-1", "eu-west-1", "eu-west-2", "eu-central-1",
	"ap-southeast-1", "ap-southeast-2", "ap-northeast-1",
}

// TestClientThatQueriesAllRegionsAtOnceIsServed: one client sends 24 requests to a
// gateway and an Object Store with default settings. Such a program treats all statuses
// except 200 as a missing store.
func TestClientThatQueriesAllRegionsAtOnceIsServed(t *testing.T) {
	t.Parallel()
	withAndWithoutRedis(t, func(t *testing.T, s *stack) {
		one := s.gateway().as("app-one")
		var all sync.WaitGroup
		for _, region := range usRegions {
			for _, path := range []string{"/partitions", ""} {
				all.Go(func() {
					target := "/us/" + region + "/api/v1/organizations/org-root/environments/env-prod/stores/APP_demo__defaultPersistentObjectStore" + path
					if a := one.get(target); a.status != http.StatusOK {
						t.Errorf("%s: %d, Retry-After %q %s", target, a.status, a.header.Get("Retry-After"), a.body)
					}
				})
			}
		}
		all.Wait()
	}, "-rate", "10", "-rate-by", "location")
}
