//go:build deploy

package e2e

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// predecessor is the commit of the version before: the last one before the packages,
// images and the chart.
const predecessor = "5b01abb013f5675fcc2ea541a8cc6d318499f336"

var predecessorFlag = flag.String("predecessor", "", "path of the osgate of the version before; empty: the commit "+predecessor[:7])

// predecessorProgram returns the path of the version before.
var predecessorProgram = sync.OnceValues(func() (string, error) {
	if *predecessorFlag != "" {
		return *predecessorFlag, nil
	}
	folder := filepath.Dir(programs.osemu) // is removed after the tests
	source, program := filepath.Join(folder, "predecessor"), filepath.Join(folder, "before")
	for _, made := range []string{source, program} {
		if err := os.Mkdir(made, 0o700); err != nil {
			return "", err
		}
	}
	if err := exec.Command("git", "cat-file", "-e", predecessor+"^{commit}").Run(); err != nil {
		return "", fmt.Errorf("the history of this checkout has no commit %s (git fetch --unshallow, or -predecessor PROGRAM): %w", predecessor, err)
	}
	archive := fmt.Sprintf("git -C %q archive %s | tar -x -C %q", mainModule, predecessor, source)
	if out, err := exec.Command("sh", "-c", archive).CombinedOutput(); err != nil {
		return "", fmt.Errorf("unpacking the version before: %w\n%s", err, out)
	}
	return filepath.Join(program, "osgate"), build(source, program, "./cmd/osgate")
})

// before returns the path of the version before, or ends the test.
func before(t *testing.T) string {
	t.Helper()
	program, err := predecessorProgram()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// bothVersions starts a gateway of the version before and one of this version, with the
// same settings.
func (s *stack) bothVersions(t *testing.T, settings ...string) []*gateway {
	t.Helper()
	return []*gateway{s.gatewayOf(before(t), settings...), s.gateway(settings...)}
}

// TestTwoVersionsGrantOneQuota sends the requests of one client through the version
// before and this one, with one Redis: together they admit one quota.
func TestTwoVersionsGrantOneQuota(t *testing.T) {
	t.Parallel()
	for _, burst := range []int{1, 10} {
		t.Run(fmt.Sprintf("gcra,burst=%d", burst), func(t *testing.T) {
			t.Parallel()
			s := newStack(t, true)
			gateways := s.bothVersions(t, "RATE_MAX_WAIT=0", fmt.Sprintf("RATE_BURST=%d", burst), sharedSecret)
			b := sendAtRate(loadTime, 50, clientOfEach(gateways, "app-one")...)
			b.checkRate(t, burst, len(s.emulator.requests(isObjectStoreRequest)))
			checkEachAdmitted(t, gateways)
		})
	}
	t.Run("window", func(t *testing.T) {
		t.Parallel()
		s := newStack(t, true)
		one := clientOfEach(s.bothVersions(t, "RATE_ALGORITHM=window", "RATE_PERIOD=1m", "RATE_MAX_WAIT=0"), "app-one")
		sendDistinct(10, 0, one...).checkStatuses(t, http.StatusNotFound)
		for _, c := range one {
			c.get(keyOne).checkRefusal(http.StatusTooManyRequests, "over-quota")
		}
		if n := len(s.emulator.requests(isObjectStoreRequest)); n != 10 {
			t.Errorf("osemu received %d requests, want 10", n)
		}
	})
}

// TestTwoVersionsSeeEachOthersWrites writes a value 50 times through the version before
// and 50 times through this one. Both have it in their caches, and each read after a
// write returns it. The counts that both read from Redis are exact.
func TestTwoVersionsSeeEachOthersWrites(t *testing.T) {
	t.Parallel()
	s := newStack(t, true)
	gateways := s.bothVersions(t, "RATE=0", "CACHE_KEY_TTL=1h", sharedSecret)
	first := gateways[0].as("app-one")
	clients := []client{first, first.via(gateways[1])}
	path, sent, hits := demoKeys+"/of-two-versions", 0, 0
	for i := range 100 {
		text := fmt.Sprintf("value %d.", i)
		clients[i%2].put("of-two-versions", text).succeeded()
		sent++
		for range 3 {
			for n, c := range clients {
				a := c.get(path).is(http.StatusOK)
				sent++
				if !strings.Contains(a.body, text) {
					t.Fatalf("after write %d through gateway %d, gateway %d answers %s", i, i%2, n, a.body)
				}
				if strings.HasPrefix(a.header.Get("Cache-Status"), "osgate; hit") {
					hits++
				}
			}
		}
	}
	if hits < 50 {
		t.Errorf("%d hits: the caches took no part", hits)
	}
	for n, c := range clients {
		eventually(t, fmt.Sprintf("%d counts by gateway %d", sent, n), func() bool {
			return total(c.counts("/api/v1/organizations/org-root"+lastDayQuery("1hour"))) == sent
		})
	}
	t.Logf("%d operations, %d hits", sent, hits)
}

// TestStateDirectoryMovesBetweenVersions counts with the version before, with this one,
// and with the version before again, in one state directory.
func TestStateDirectoryMovesBetweenVersions(t *testing.T) {
	t.Parallel()
	s, dir := newStack(t, false), filepath.Join(t.TempDir(), "state")
	settings, sent := []string{"RATE=0", "STATE_DIR=" + dir}, 0
	for i, program := range []string{before(t), programs.osgate, before(t), programs.osgate} {
		g := s.gatewayOf(program, settings...)
		one := g.as("app-one")
		sum := func() int { return total(one.counts("/api/v1/organizations/org-root" + lastDayQuery("1hour"))) }
		if got := sum(); got != sent {
			t.Errorf("start %d: %d operations are counted, want %d", i+1, got, sent)
		}
		for range 5 + i {
			one.get(keyOne).is(http.StatusOK)
			sent++
		}
		eventually(t, "the counts", func() bool { return sum() == sent })
		if code := g.stop(syscall.SIGTERM); code != 0 {
			t.Errorf("start %d: SIGTERM: exit code %d, want 0", i+1, code)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 || files[0].Name() != "stats.db" {
		t.Errorf("the state directory holds %v, %v; want stats.db alone", files, err)
	}
}
