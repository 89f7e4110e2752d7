//go:build deploy && linux

package packagetest

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// built holds the checksums of the files in a folder dist, by their names.
type built map[string]string

// packagesOf clones the checkout and makes the packages of its last commit for
// linux/amd64, with a home of its own and this build cache; "" is an empty one. The tools
// come from the cache of this machine.
func packagesOf(t *testing.T, cache string) (dist string, files built) {
	t.Helper()
	clone, home := filepath.Join(t.TempDir(), "clone"), t.TempDir()
	runIn(t, ".", "git", "clone", "--quiet", "--no-hardlinks", "../..", clone)
	config, err := os.ReadFile("../../.goreleaser.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`(?m)^    goos: .*$`).ReplaceAllString(string(config), "    goos: [linux]")
	text = regexp.MustCompile(`(?m)^    goarch: .*$`).ReplaceAllString(text, "    goarch: [amd64]")
	small := filepath.Join(home, "goreleaser.yaml")
	if err := os.WriteFile(small, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if cache == "" {
		cache = filepath.Join(home, "cache")
	}
	caches, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	c := exec.Command("make", "packages", "GORELEASER_CONFIG="+small)
	c.Dir = clone
	c.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_CACHE_HOME=" + caches, "GOCACHE=" + cache,
		"GOMODCACHE=" + strings.TrimSpace(run(t, "go", "env", "GOMODCACHE")), "GOPROXY=" + strings.TrimSpace(run(t, "go", "env", "GOPROXY")),
		"GOSUMDB=" + strings.TrimSpace(run(t, "go", "env", "GOSUMDB")), "GOFLAGS=",
	}
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("make packages: %v\n%s", err, out)
	}
	dist, files = filepath.Join(clone, "dist"), built{}
	for _, pattern := range []string{"*.tar.gz", "*.deb", "*.rpm", "*.cdx.json", "checksums.txt"} {
		found, err := filepath.Glob(filepath.Join(dist, pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("dist has no %s: %v", pattern, err)
		}
		for _, path := range found {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			files[filepath.Base(path)] = fmt.Sprintf("%x", sha256.Sum256(content))
			t.Logf("%s: %.1f MB", filepath.Base(path), float64(len(content))/1e6)
		}
	}
	t.Logf("built in %v", time.Since(began).Round(time.Second))
	return dist, files
}

// TestTwoBuildsOfACommitAreTheSameBytes makes the packages twice, each in a folder and
// with a home of its own, and the second time with an empty build cache. The archive has
// the manual page, the completions and the unit, and the SBOM lists the modules of the
// program.
func TestTwoBuildsOfACommitAreTheSameBytes(t *testing.T) {
	dist, first := packagesOf(t, strings.TrimSpace(run(t, "go", "env", "GOCACHE")))
	_, second := packagesOf(t, "")
	if !maps.Equal(first, second) {
		t.Errorf("the builds differ:\n%v\n%v", first, second)
	}
	checkArchive(t, dist)
	checkList(t, dist)
}

// checkArchive looks for each file that the archive must have.
func checkArchive(t *testing.T, dist string) {
	t.Helper()
	archive, err := filepath.Glob(filepath.Join(dist, "*.tar.gz"))
	if err != nil || len(archive) != 1 {
		t.Fatalf("%q, %v: want one archive", archive, err)
	}
	listed := run(t, "tar", "-tzf", archive[0])
	for _, name := range []string{
		"/osgate", "/osemu", "/LICENSE", "/README.md", "/share/osgate.1.gz", "/share/osgate.bash", "/share/_osgate", "/share/osgate.fish",
		"/systemd/osgate.service",
	} {
		if !strings.Contains(listed, name+"\n") {
			t.Errorf("the archive has no %s: %s", name, listed)
		}
	}
}

// checkList compares the SBOM of osgate with the modules in the program.
func checkList(t *testing.T, dist string) {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dist, "osgate_*_linux_amd64.cdx.json"))
	if err != nil || len(list) != 1 {
		t.Fatalf("%q, %v: want one SBOM of osgate", list, err)
	}
	var bom struct {
		BOMFormat  string
		Metadata   struct{ Component struct{ Name string } }
		Components []struct{ Name, Version string }
	}
	readJSON(t, list[0], &bom)
	if bom.BOMFormat != "CycloneDX" || bom.Metadata.Component.Name != "osgate" {
		t.Errorf("the SBOM is a %s of %s", bom.BOMFormat, bom.Metadata.Component.Name)
	}
	program, err := filepath.Glob(filepath.Join(dist, "osgate_linux_amd64*", "osgate"))
	if err != nil || len(program) != 1 {
		t.Fatalf("%q, %v: want one program", program, err)
	}
	var has, want []string
	for _, component := range bom.Components {
		if component.Name != "std" {
			has = append(has, component.Name+" "+component.Version)
		}
	}
	for line := range strings.Lines(run(t, "go", "version", "-m", program[0])) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[0] == "dep" {
			want = append(want, fields[1]+" "+fields[2])
		}
	}
	slices.Sort(has)
	slices.Sort(want)
	if len(want) == 0 || !slices.Equal(has, want) {
		t.Errorf("the SBOM lists %q, the program has %q", has, want)
	}
}
