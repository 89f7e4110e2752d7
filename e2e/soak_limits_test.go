//go:build soak

package e2e

import (
	"fmt"
	"testing"
	"time"
)

// soak is how long one client sends without rest.
const soak = 10 * time.Second

// TestOneQuotaOverThreeReplicasForTenSeconds is TestOneQuotaOverAllReplicas at length: one client at 50 requests a second, over two and three gateways.
func TestOneQuotaOverThreeReplicasForTenSeconds(t *testing.T) {
	t.Parallel()
	for _, replicas := range []int{2, 3} {
		for _, burst := range []int{1, 10} {
			t.Run(fmt.Sprintf("replicas=%d,burst=%d", replicas, burst), func(t *testing.T) {
				t.Parallel()
				oneQuota(t, replicas, burst, soak)
			})
		}
	}
}

// TestNeverElevenInASlidingSecondForTenSeconds is TestNeverElevenInASlidingSecond at length.
func TestNeverElevenInASlidingSecondForTenSeconds(t *testing.T) {
	t.Parallel()
	for _, replicas := range []int{2, 3} {
		t.Run(fmt.Sprintf("replicas=%d", replicas), func(t *testing.T) {
			t.Parallel()
			neverEleven(t, replicas, soak)
		})
	}
}
