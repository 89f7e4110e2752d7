//go:build deploy && linux

package packagetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// otherPath is the import path that the module gets in a copy.
const otherPath = "example.com/you/osgate"

// runIn runs a command in a folder and returns its output.
func runIn(t *testing.T, folder, program string, arguments ...string) string {
	t.Helper()
	c := exec.Command(program, arguments...)
	c.Dir = folder
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q in %s: %v\n%s", program, arguments, folder, err, out)
	}
	return string(out)
}

// copyOfSources copies the files of this checkout that git knows or would add.
func copyOfSources(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	runIn(t, "../..", "sh", "-c", `git ls-files -co --exclude-standard -z | tar -c --null -T - | tar -x -C "$0"`, folder)
	return folder
}

// TestModuleTakesAnotherPath renames the module in a copy, builds and vets it with the
// modules in its folders, and runs the test of its imports.
func TestModuleTakesAnotherPath(t *testing.T) {
	folder := copyOfSources(t)
	runIn(t, folder, "make", "module", "MODULE="+otherPath)
	if out := runIn(t, folder, "gofmt", "-l", "."); out != "" {
		t.Errorf("not formatted: %s", out)
	}
	runIn(t, folder, "go", "build", "./...")
	runIn(t, folder, "go", "vet", "./...")
	runIn(t, folder, "go", "test", "./internal/archtest")
	for _, module := range []string{"e2e", "bench"} {
		runIn(t, filepath.Join(folder, module), "go", "mod", "tidy", "-diff")
		runIn(t, filepath.Join(folder, module), "go", "vet", "./...")
	}
	useEmulator(t, folder, otherPath)
}

// TestOtherModulesImportTheEmulator runs the example of the emulator in a module that
// replaces osgate by this checkout.
func TestOtherModulesImportTheEmulator(t *testing.T) {
	checkout, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	useEmulator(t, checkout, "osgate")
}

// useEmulator runs the example of the emulator in a new module, by the commands of
// docs/emulator.md. The module osgate has this path, and is in this folder.
func useEmulator(t *testing.T, folder, path string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/emulator.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"go mod edit -require " + otherPath + "@v0.0.0 -replace " + otherPath + "=../osgate\n", "go mod tidy\n"} {
		if !strings.Contains(string(page), command) {
			t.Errorf("docs/emulator.md has no command %q", command)
		}
	}
	example, err := os.ReadFile("../../emulator/example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	user := t.TempDir()
	if err := os.WriteFile(filepath.Join(user, "example_test.go"), []byte(strings.ReplaceAll(string(example), `"osgate/`, `"`+path+`/`)), 0o600); err != nil {
		t.Fatal(err)
	}
	runIn(t, user, "go", "mod", "init", "example.com/me/tests")
	runIn(t, user, "go", "mod", "edit", "-require", path+"@v0.0.0", "-replace", path+"="+folder)
	runIn(t, user, "go", "mod", "tidy")
	if out := runIn(t, user, "go", "test", "-v", "."); !strings.Contains(out, "PASS: Example") {
		t.Errorf("go test: %s", out)
	}
	if out := runIn(t, user, "go", "list", "-m", "all"); strings.Contains(out, "chromedp") {
		t.Errorf("a module that imports the emulator gets the libraries of black-box tests: %s", out)
	}
}
