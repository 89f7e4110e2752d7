package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// A Target is a package whose tests are measured.
type Target struct {
	Name    string // folder of the package below the root of the module
	Dir     string
	GoFiles []string // sources that are built here, without tests

	sources   map[string][]byte
	mutations []Mutation
	slow      []string // tests that take long, and are run after the other ones
}

// load reads the sources of the package in a folder, and finds its mutations.
func load(ctx context.Context, root, name string) (*Target, error) {
	list := exec.CommandContext(ctx, "go", "list", "-json=Dir,GoFiles", "./"+name) //nolint:gosec // a tool of developers: they name the package
	list.Dir, list.Stderr = root, os.Stderr
	text, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("go list ./%s: %w", name, err)
	}
	t := Target{Name: name, sources: map[string][]byte{}}
	if err := json.Unmarshal(text, &t); err != nil {
		return nil, fmt.Errorf("go list ./%s: %w", name, err)
	}
	for _, file := range t.GoFiles {
		if t.sources[file], err = os.ReadFile(filepath.Join(t.Dir, file)); err != nil {
			return nil, err
		}
		found, err := find(file, t.sources[file])
		if err != nil {
			return nil, err
		}
		t.mutations = append(t.mutations, found...)
	}
	return &t, nil
}

// cover runs the tests of the package without a mutation, returns what they cover,
// and remembers which of them are slow. It fails if the tests do.
func (t *Target) cover(ctx context.Context) (Coverage, error) {
	dir, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	program, profile := filepath.Join(dir, "tests"), filepath.Join(dir, "profile")
	if text, err := t.build(ctx, program, "-cover"); err != nil {
		return nil, fmt.Errorf("building the tests of %s: %w\n%s", t.Name, err, text)
	}
	text, err := t.test(ctx, dir, program, "-test.v", "-test.coverprofile="+profile)
	if err != nil {
		return nil, fmt.Errorf("the tests of %s fail without a mutation: %w\n%s", t.Name, err, tail(text))
	}
	t.slow = slowTests(text)
	if text, err = os.ReadFile(profile); err != nil {
		return nil, err
	}
	return parseCoverage(text)
}

// slowTests returns the tests that took a second or more, from the output of
// go test -v.
func slowTests(text []byte) []string {
	passed := regexp.MustCompile(`(?m)^--- PASS: (\S+) \(([0-9.]+)s\)`)
	var slow []string
	for _, parts := range passed.FindAllSubmatch(text, -1) {
		if seconds, err := strconv.ParseFloat(string(parts[2]), 64); err == nil && seconds >= 1 {
			slow = append(slow, string(parts[1]))
		}
	}
	return slow
}

// stages returns the flags of the runs that make up one run of all tests: first
// those that are quick, which notice most mutants, then the slow ones.
func (t *Target) stages() []string {
	if len(t.slow) == 0 {
		return []string{"-test.run=."}
	}
	slow := "=^(" + strings.Join(t.slow, "|") + ")$"
	return []string{"-test.skip" + slow, "-test.run" + slow}
}

// build builds the tests of the package into a program. The linker leaves out
// what only a debugger needs, which saves a third of its time.
func (t *Target) build(ctx context.Context, program string, flags ...string) ([]byte, error) {
	arguments := append([]string{"test", "-c", "-vet=off", "-ldflags=-s -w", "-o", program}, flags...)
	build := exec.CommandContext(ctx, "go", append(arguments, ".")...) //nolint:gosec // the arguments are ours
	build.Dir = t.Dir
	return build.CombinedOutput()
}

// test runs a program of tests until the first of them fails. Its temporary
// files go into dir. A mutant that wants all memory gets 4 GiB.
func (t *Target) test(ctx context.Context, dir, program string, flags ...string) ([]byte, error) {
	arguments := append([]string{"-c", `ulimit -d 4194304; exec "$0" "$@"`, program, "-test.failfast", "-test.timeout=0"}, flags...)
	tests := exec.CommandContext(ctx, "sh", arguments...) //nolint:gosec // the arguments are ours
	tests.Dir = t.Dir
	tests.Env = append(tests.Environ(), "TMPDIR="+dir)
	tests.WaitDelay = waitDelay
	return tests.CombinedOutput()
}

// tail returns the end of an output, which is where a test says why it failed.
func tail(text []byte) []byte {
	const most = 2000
	if len(text) > most {
		text = text[len(text)-most:]
	}
	return bytes.TrimSpace(text)
}
