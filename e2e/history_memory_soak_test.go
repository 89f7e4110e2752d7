//go:build soak

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestMemoryStaysWithinItsBound reads many times more bytes than the cache can hold, by
// random keys, with some of the largest values, and measures the resident memory during
// that time. In addition to the entries, the bound includes the headroom of the
// collector (the default of Go: as much as is in use), responses that are being
// received (a quarter of CACHE_BYTES), and the memory of a gateway without a cache.
func TestMemoryStaysWithinItsBound(t *testing.T) {
	const (
		readers  = 16
		values   = 4000 // of 1 to 100 KB, 200 MB in all
		large    = 4    // the largest possible value
		constant = 64 << 20
		period   = 20 * time.Second
	)
	for _, cacheBytes := range []int{16 << 20, 64 << 20} {
		t.Run(fmt.Sprintf("%dMiB", cacheBytes>>20), func(t *testing.T) {
			s := newStack(t, false, "-quiet")
			g := s.gateway("RATE=0", "LOG_LEVEL=warn", fmt.Sprintf("CACHE_BYTES=%dMiB", cacheBytes>>20), "CACHE_KEY_TTL=1h")
			one := g.as("app-one")
			straight := one
			straight.base = s.emulator.url + "/us/us-east-1"
			target := func(n int) string { return fmt.Sprintf("%s/of-many-%d", demoKeys, n) }
			for n := range values + large {
				length := 1000 + 99_000*(n%100)/99
				if n >= values {
					length = 7_800_000 // 10.4 MB in base64, which the limit counts
				}
				body := `{"stringValue":"` + strings.Repeat("v", length) + `"}`
				straight.send(http.MethodPut, target(n), body, "Content-Type: application/json").succeeded()
			}
			before := g.process.resident(t)
			var reading sync.WaitGroup
			began := time.Now()
			y := &answerCounts{byStatus: map[int]int{}}
			for i := range readers {
				reading.Go(func() {
					for n := i; time.Since(began) < period; n += readers {
						which := n // each of them once, and then random ones, a few of them often
						switch {
						case n >= values && n%50 == 0:
							which = values + rand.IntN(large)
						case n >= values && n%2 == 0:
							which = rand.IntN(values / 20)
						case n >= values:
							which = rand.IntN(values)
						}
						y.add(one.try(http.MethodGet, target(which), ""))
					}
				})
			}
			peak := 0
			for time.Since(began) < period {
				peak = max(peak, g.process.resident(t))
				pause(50 * time.Millisecond)
			}
			reading.Wait()
			y.checkStatuses(t, http.StatusOK)
			bound := 2*(cacheBytes+cacheBytes/4) + constant
			t.Logf("%v; resident: %d MiB at the start, %d MiB at most, bound %d MiB", y, before>>20, peak>>20, bound>>20)
			if peak > bound {
				t.Errorf("%d MiB were resident, want at most %d", peak>>20, bound>>20)
			}
		})
	}
}

var residentLine = regexp.MustCompile(`(?m)^VmRSS:\s+(\d+) kB$`)

// resident returns the resident memory of a process in bytes (proc(5)).
func (p *process) resident(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Skipf("this system does not report resident memory: %v", err)
	}
	match := residentLine.FindSubmatch(text)
	if match == nil {
		t.Skip("this system does not report resident memory")
	}
	kilobytes, _ := strconv.Atoi(string(match[1])) // digits
	return kilobytes << 10
}
