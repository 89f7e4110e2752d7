package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestDamagedStateDirectoryFailsNoRequestAndIsReported cuts, removes and replaces the
// statistics file of a gateway that serves. Every request is answered, counting
// continues in a file at the same path, and the loss is reported.
func TestDamagedStateDirectoryFailsNoRequestAndIsReported(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		trouble func(path string) error
		lost    int // of the requests before the damage
	}{
		"the file is cut to no bytes": {func(path string) error { return os.Truncate(path, 0) }, 5},
		"the file is cut to a page":   {func(path string) error { return os.Truncate(path, 4096) }, 5},
		"the file is removed":         {os.Remove, 0},
		"the directory is removed":    {func(path string) error { return os.RemoveAll(filepath.Dir(path)) }, 0},
		"the file is exchanged": {func(path string) error {
			other := path + ".other"
			if err := os.WriteFile(other, nil, 0o600); err != nil {
				return err
			}
			return os.Rename(other, path)
		}, 5},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, dir := newStack(t, false), filepath.Join(t.TempDir(), "state")
			g := s.gateway("RATE=0", "STATE_DIR="+dir)
			one := g.as("app-one")
			read := func() {
				t.Helper()
				for range 5 {
					one.get(keyOne).is(http.StatusOK)
				}
			}
			sum := func() int { return total(one.counts("/api/v1/organizations/org-root" + lastDayQuery("1hour"))) }
			read()
			eventually(t, "5 counts", func() bool { return sum() == 5 })
			if err := tt.trouble(filepath.Join(dir, "stats.db")); err != nil {
				t.Fatal(err)
			}
			read()
			eventually(t, "the counts afterwards", func() bool {
				one.get(keyOne).is(http.StatusOK)
				a := one.get("/api/v1/organizations/org-root" + lastDayQuery("1hour"))
				return a.status == http.StatusOK
			})
			lost := fmt.Sprintf(`osgate_stats_losses_total{osgate_stats_loss="file"} %d`, tt.lost)
			eventually(t, lost, func() bool {
				return strings.Contains(client{t: t, base: g.admin}.get("/metrics").is(http.StatusOK).body, lost)
			})
			if tt.lost > 0 {
				ready := client{t: t, base: g.admin}.get("/readyz").is(http.StatusOK)
				if !strings.Contains(ready.body, `"part":"statistics"`) || !strings.Contains(ready.body, "5 operations are no longer counted") {
					t.Errorf("readiness reports %s, want the loss", ready.body)
				}
			}
			eventually(t, "statistics", func() bool { // a damaged file is read again once it is replaced
				a := one.get("/api/v1/organizations/org-root" + lastDayQuery("1hour"))
				return a.status == http.StatusOK
			})
			before := sum()
			read()
			if code := g.stop(syscall.SIGTERM); code != 0 {
				t.Errorf("SIGTERM: exit code %d, want 0", code)
			}
			one = one.via(s.gateway("RATE=0", "STATE_DIR="+dir))
			if got := sum(); got < before+5 {
				t.Errorf("after a restart %d operations are counted, want at least %d", got, before+5)
			}
		})
	}
}
