package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// programs holds the paths of the binaries under test. TestMain sets it before any test
// runs.
var programs struct{ osgate, osemu, osdemo string }

var osgateFlag = flag.String("osgate", "", "path of the osgate to test; empty: the one of this source")

// parallelTests is the number of tests that run at once, for any number of processors:
// tests mostly wait. With more, the clients of two processors meet their own timeouts.
const parallelTests = "4"

func TestMain(m *testing.M) {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		_ = flag.Set("test.parallel", parallelTests) // a number
	}
	os.Exit(runTests(m))
}

// runTests builds the binaries in the form that users get, without the race detector,
// runs the tests, and removes the binaries.
func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "osgate-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "making a folder for the binaries:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	programs.osgate, programs.osemu, programs.osdemo = filepath.Join(dir, "osgate"), filepath.Join(dir, "osemu"), filepath.Join(dir, "osdemo")
	if err := build(mainModule, dir, "./cmd/osgate", "./cmd/osemu", "./cmd/osdemo"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if *osgateFlag != "" {
		programs.osgate = *osgateFlag
	}
	defer benchmarkResults.print(os.Stdout)
	defer attackResults.print(os.Stdout)
	defer faultResults.print(os.Stdout)
	return m.Run()
}

// mainModule is the folder of the module that is shipped. Its programs are built there,
// with the versions of its own go.mod.
const mainModule = ".."

// build builds the commands of a module into dir. The packages are relative to the
// module's folder.
func build(module, dir string, packages ...string) error {
	command := goBuild(append([]string{"-o", dir + string(filepath.Separator)}, packages...)...)
	command.Dir = module
	if text, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("building %v: %w\n%s", packages, err, text)
	}
	return nil
}

// goBuild is the command that builds a program as `make build` does, without symbols.
// All programs are built with the same tags, so that they share what is compiled.
func goBuild(arguments ...string) *exec.Cmd {
	flags := []string{"build", "-buildvcs=false", "-tags", "grpcnotrace", "-ldflags", "-s -w"}
	return exec.Command("go", append(flags, arguments...)...)
}
