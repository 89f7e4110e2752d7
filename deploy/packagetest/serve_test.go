//go:build deploy && linux

package packagetest

import (
	"bufio"
	"context"
	"debug/buildinfo"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// version is the version that the image must have, "" if it does not matter.
func version() string { return os.Getenv("OSGATE_TEST_VERSION") }

// command returns a command that runs in the files of the image as a container does:
// with these files alone, read-only, as the image's user, without a capability.
func (i image) command(ctx context.Context, environment, program []string) *exec.Cmd {
	const mounted = `mount --bind "$0" "$0" && mount -o remount,bind,ro,nosuid "$0" && ` +
		`exec setpriv --no-new-privs chroot --userspec="$1" "$0" "${@:2}"`
	arguments := []string{"--mount", "--propagation", "private", "bash", "-c", mounted, i.root, i.user}
	c := exec.CommandContext(ctx, "unshare", append(arguments, program...)...)
	c.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, environment...)
	c.WaitDelay = time.Minute
	return c
}

// started is a program that runs in an image.
type started struct {
	lines *bufio.Scanner
	stop  func() error
}

// start starts the program of the image, with more arguments.
func (i image) start(t *testing.T, environment []string, arguments ...string) started {
	t.Helper()
	c := i.command(context.WithoutCancel(t.Context()), environment, append(slices.Clone(i.entry), arguments...))
	return launch(t, c)
}

// address returns the URL in the next line of the output.
func (s started) address(t *testing.T) string {
	t.Helper()
	if !s.lines.Scan() {
		t.Fatalf("no line: %v", s.lines.Err())
	}
	line := s.lines.Text()
	at := strings.Index(line, "http://")
	if at < 0 {
		t.Fatalf("no address in %q", line)
	}
	return strings.TrimSpace(line[at:])
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// isClone reports whether this checkout has a repository of its own. Go stamps no
// revision in an additional work tree of git.
func isClone() bool {
	info, err := os.Stat("../../.git")
	return err == nil && info.IsDir()
}

// TestImagesHoldOneProgramForAnyUser checks user, files and stamp of both images.
func TestImagesHoldOneProgramForAnyUser(t *testing.T) {
	for target, want := range map[string][]string{
		"osgate": {"/etc/ssl/certs/ca-certificates.crt", "/osgate"},
		"osemu":  {"/osemu"},
	} {
		i := unpack(t, target)
		if files := i.files(t); !slices.Equal(files, want) {
			t.Errorf("%s holds %q, want %q: no shell, no library", target, files, want)
		}
		if i.user != "65532:65532" || len(i.check) == 0 {
			t.Errorf("%s: user %q, health check %q", target, i.user, i.check)
		}
		info, err := os.Stat(filepath.Join(i.root, "data"))
		if err != nil {
			t.Fatal(err)
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); !ok || stat.Uid != 65532 {
			t.Errorf("%s: /data: %v; want a folder of 65532", target, info)
		}
		build, err := buildinfo.ReadFile(filepath.Join(i.root, target))
		if err != nil {
			t.Fatal(err)
		}
		setting := func(key string) string {
			for _, s := range build.Settings {
				if s.Key == key {
					return s.Value
				}
			}
			return ""
		}
		if setting("GOARCH") != i.architecture || setting("CGO_ENABLED") != "0" {
			t.Errorf("%s for %s: %v, want this platform, without cgo", target, i.architecture, build.Settings)
		}
		if revision := setting("vcs.revision"); isClone() && len(revision) != 40 {
			t.Errorf("%s has the revision %q, want that of the checkout", target, revision)
		}
		t.Logf("%s: %.1f MB compressed", target, float64(i.bytes)/1e6)
	}
}

// TestImageServesReadOnly runs both images as containers do, one in front of the other.
func TestImageServesReadOnly(t *testing.T) {
	emulator := unpack(t, "osemu")
	upstream := emulator.start(t, nil, "-listen", "127.0.0.1:0").address(t)
	gateway := unpack(t, "osgate")
	environment := []string{
		"OSGATE_LISTEN=127.0.0.1:0", "OSGATE_ADMIN_LISTEN=127.0.0.1:18081", "OSGATE_METRICS_LISTEN=127.0.0.1:0",
		"OSGATE_UPSTREAM_OVERRIDE=" + upstream, "OSGATE_DEFAULT_REGION=us/us-east-1", "OSGATE_DRAIN_DELAY=0s",
	}
	begin := time.Now()
	running := gateway.start(t, environment)
	clients, admin, metrics := running.address(t), running.address(t), running.address(t)
	for path, want := range map[string]string{"/livez": "ok", "/readyz": `"ready"`, "/metrics": "osgate_build_info"} {
		if status, body := get(t, metrics+path); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.100s", path, status, body)
		}
	}
	t.Logf("serves after %v", time.Since(begin).Round(time.Millisecond))
	if status, body := get(t, clients+"/us/us-east-1/api/v1/organizations"); status != 401 && status != 404 {
		t.Errorf("a request without a token: %d %s", status, body)
	}
	if status, _ := get(t, admin+"/livez"); status != 200 {
		t.Errorf("/livez of the admin listener: %d", status)
	}
	out, err := gateway.command(t.Context(), environment, gateway.check).CombinedOutput()
	if err != nil {
		t.Errorf("the health check %q: %v %s", gateway.check, err, out)
	}
	out, err = gateway.command(t.Context(), nil, []string{gateway.entry[0], "version"}).CombinedOutput()
	if want := fmt.Sprintf("osgate %s\n", version()); err != nil || version() != "" && string(out) != want {
		t.Errorf("version: %v %q, want %q", err, out, want)
	}
	if err := running.stop(); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	// The root is read-only: a state folder needs a volume.
	c := gateway.command(t.Context(), append(environment, "OSGATE_STATE_DIR=/data"), gateway.entry)
	if out, err := c.CombinedOutput(); err == nil || !strings.Contains(string(out), "read-only") {
		t.Errorf("a state folder without a volume: %v %s, want a refusal", err, out)
	}
}
