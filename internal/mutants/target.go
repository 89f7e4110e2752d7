package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// A Target is a package whose tests are measured.
type Target struct {
	Name    string // folder of the package below the root of the module
	Dir     string
	GoFiles []string // sources that are built on this system, without tests

	sources   map[string][]byte
	mutations []Mutation
	tests     []Test
	whole     Coverage // of all tests in one run

	leastLimit time.Duration // minimum time limit of a mutant
}

// A Test is a test of the package, with its duration and its own coverage.
type Test struct {
	Name     string
	Took     time.Duration
	coverage Coverage
}

// load reads the sources of the package in a folder, and finds its mutations.
func load(ctx context.Context, root, name string) (*Target, error) {
	//nolint:gosec // a tool of developers: they name the package
	list := exec.CommandContext(ctx, "go", "list", "-json=Dir,GoFiles", "./"+name)
	list.Dir, list.Stderr = root, os.Stderr
	text, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("go list ./%s: %w", name, err)
	}
	t := Target{Name: name, sources: map[string][]byte{}, leastLimit: leastLimit}
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

// cover runs the tests of the package without a mutation, first all of them and then
// each by itself, several at the same time, and stores their coverage. It returns an
// error if the tests fail. One that fails by itself is run once more, because the
// machine may have been too busy for it.
func (t *Target) cover(ctx context.Context, workers int) error {
	dir, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	p := program{path: filepath.Join(dir, "tests")}
	if text, err := t.build(ctx, p.path, "-cover"); err != nil {
		return fmt.Errorf("building the tests of %s: %w\n%s", t.Name, err, text)
	}
	text, err := t.profile(ctx, dir, p, ".", &t.whole)
	if err != nil {
		return err
	}
	t.tests = parseTests(text)
	each, ctx := errgroup.WithContext(ctx)
	each.SetLimit(max(1, workers))
	for i := range t.tests {
		each.Go(func() error {
			chosen, coverage := "^"+t.tests[i].Name+"$", &t.tests[i].coverage
			if _, err := t.profile(ctx, dir, p, chosen, coverage); err == nil || ctx.Err() != nil {
				return err
			}
			_, err := t.profile(ctx, dir, p, chosen, coverage)
			return err
		})
	}
	return each.Wait()
}

// profile runs the chosen tests of a program, stores their coverage, and returns their
// output.
func (t *Target) profile(
	ctx context.Context, dir string, p program, chosen string, coverage *Coverage,
) ([]byte, error) {
	dir, err := os.MkdirTemp(dir, "")
	if err != nil {
		return nil, err
	}
	profile := filepath.Join(dir, "profile")
	output, err := t.test(ctx, dir, p, "-test.v", "-test.run="+chosen, "-test.coverprofile="+profile)
	if err != nil && !testsPassed(output) {
		return nil, fmt.Errorf("the tests of %s fail without a mutation: %w\n%s", t.Name, err, tail(output))
	}
	text, err := os.ReadFile(profile)
	if err != nil {
		return nil, err
	}
	*coverage, err = parseCoverage(text)
	return output, err
}

// duration returns how long the tests that a flag chooses take now, without a mutation.
// The program of a batch contains the original functions too; for another mutant,
// duration builds a program of them.
func (t *Target) duration(ctx context.Context, p program, chosen string) (time.Duration, error) {
	dir, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	original := program{path: p.path}
	if p.mutant == 0 {
		original.path = filepath.Join(dir, "tests")
		if text, err := t.build(ctx, original.path); err != nil {
			return 0, fmt.Errorf("building the tests of %s: %w\n%s", t.Name, err, text)
		}
	}
	began := time.Now()
	_, err = t.test(ctx, dir, original, chosen)
	return time.Since(began), failed(ctx, err)
}

// parseTests returns the tests that the output of go test -v reports as passed.
func parseTests(text []byte) []Test {
	passed := regexp.MustCompile(`(?m)^--- PASS: (\S+) \(([0-9.]+s)\)`)
	var tests []Test
	for _, parts := range passed.FindAllSubmatch(text, -1) {
		took, err := time.ParseDuration(string(parts[2]))
		if err == nil {
			tests = append(tests, Test{Name: string(parts[1]), Took: took})
		}
	}
	return tests
}

// stages returns the tests that cover the mutation as the flags of two runs, and their
// total duration. The quick tests come first, because they notice most mutants. If no
// single test covers the mutation, it returns all tests.
func (t *Target) stages(m Mutation) (flags []string, took time.Duration) {
	var quick, slow []string
	for _, test := range t.tests {
		switch {
		case !test.coverage.runs(m):
			continue
		case test.Took < time.Second:
			quick = append(quick, test.Name)
		default:
			slow = append(slow, test.Name)
		}
		took += test.Took
	}
	for _, names := range [][]string{quick, slow} {
		if len(names) > 0 {
			flags = append(flags, "-test.run=^("+strings.Join(names, "|")+")$")
		}
	}
	if len(flags) == 0 {
		for _, test := range t.tests {
			took += test.Took
		}
		return []string{allTests}, took
	}
	return flags, took
}

// build builds the tests of the package into a file. The linker leaves out the data
// for debuggers, which saves a third of its time.
func (t *Target) build(ctx context.Context, file string, flags ...string) ([]byte, error) {
	arguments := append([]string{"test", "-c", "-vet=off", "-ldflags=-s -w", "-o", file}, flags...)
	build := exec.CommandContext(ctx, "go", append(arguments, ".")...) //nolint:gosec // the arguments are ours
	build.Dir = t.Dir
	build.Env = append(build.Environ(), "GOGC=off", "GOMEMLIMIT=3GiB") // less than half the processor time
	return build.CombinedOutput()
}

// test runs a program of tests until the first of them fails. Its temporary files go
// into dir. Its memory is limited to 4 GiB, because a mutant may allocate without end.
func (t *Target) test(ctx context.Context, dir string, p program, flags ...string) ([]byte, error) {
	arguments := append([]string{
		"-c", `ulimit -d 4194304; exec "$0" "$@"`, p.path, "-test.failfast", "-test.timeout=0",
	}, flags...)
	tests := exec.CommandContext(ctx, "sh", arguments...) //nolint:gosec // the arguments are ours
	tests.Dir = t.Dir
	tests.Env = append(tests.Environ(), "TMPDIR="+dir, p.environment())
	tests.WaitDelay = waitDelay
	return tests.CombinedOutput()
}

// tail returns the end of an output, which contains the reason of a failure.
func tail(text []byte) []byte {
	const most = 2000
	if len(text) > most {
		text = text[len(text)-most:]
	}
	return bytes.TrimSpace(text)
}

// A Block is a part of a file of which either every statement is run or none.
type Block struct {
	begin, end [2]int // line and column, the end not included
	run        bool
}

// Coverage holds the blocks of each file, by the base name of the file.
type Coverage map[string][]Block

// parseCoverage parses the profile that go test -coverprofile writes for one package.
func parseCoverage(profile []byte) (Coverage, error) {
	c := Coverage{}
	lines := bufio.NewScanner(bytes.NewReader(profile))
	for lines.Scan() {
		text := lines.Text()
		if strings.HasPrefix(text, "mode: ") {
			continue
		}
		colon := strings.LastIndexByte(text, ':')
		if colon < 0 {
			return nil, fmt.Errorf("coverage profile: no file in %q", text)
		}
		var b Block
		var statements, count int
		if _, err := fmt.Sscanf(text[colon+1:], "%d.%d,%d.%d %d %d",
			&b.begin[0], &b.begin[1], &b.end[0], &b.end[1], &statements, &count); err != nil {
			return nil, fmt.Errorf("coverage profile: %q: %w", text, err)
		}
		b.run = count > 0
		file := path.Base(text[:colon])
		c[file] = append(c[file], b)
	}
	return c, lines.Err()
}

// runs reports whether the tests run the place of the mutation. A place in no block,
// such as a package's variable or the expression of a case, counts as run.
func (c Coverage) runs(m Mutation) bool {
	at, run := [2]int{m.Line, m.Column}, true
	var innermost [2]int
	for _, b := range c[m.File] {
		if !before(at, b.begin) && before(at, b.end) && !before(b.begin, innermost) {
			innermost, run = b.begin, b.run
		}
	}
	return run
}

// before reports whether a place comes before another one.
func before(a, b [2]int) bool {
	return a[0] < b[0] || a[0] == b[0] && a[1] < b[1]
}

// A Mutation is one small change of a source file, which a test of the package
// should notice.
type Mutation struct {
	File   string // name of the file in the folder of its package
	Line   int    // line on which the changed text begins
	Column int    // column of the changed text, in bytes
	From   string // the line before the change, without the space around it
	To     string // the same line afterwards
	Same   [2]int // its number, from 1, among the mutations of the file with the same lines, and the number of these

	start, end int // the changed text, as offsets in the file
	text       string
}

// String returns the mutation in the form of an accepted one, without its reason.
func (m Mutation) String() string {
	if m.Same[1] > 1 {
		return fmt.Sprintf("%s (%d of %d)", m.lines(), m.Same[0], m.Same[1])
	}
	return m.lines()
}

// lines returns the file and both lines of the mutation.
func (m Mutation) lines() string {
	return fmt.Sprintf("%s: %s → %s", quote(m.File), quote(m.From), quote(m.To))
}

// quote returns the text as code in Markdown.
func quote(text string) string {
	if strings.Contains(text, "`") {
		return "`` " + text + " ``"
	}
	return "`" + text + "`"
}

// apply returns the source after the mutation.
func (m Mutation) apply(source []byte) []byte {
	return slices.Concat(source[:m.start], []byte(m.text), source[m.end:])
}

// find returns all mutations of a file, in the order of the file.
func find(name string, source []byte) ([]Mutation, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	f := finder{name: name, source: source, positions: files.File(file.FileStart), swaps: swaps()}
	ast.Walk(function{finder: &f}, file)
	slices.SortStableFunc(f.found, func(a, b Mutation) int { return a.start - b.start })
	number(f.found)
	return f.found, nil
}

// number sets Same of the mutations of a file, which are in its order.
func number(mutations []Mutation) {
	count := map[string]int{}
	for i := range mutations {
		m := &mutations[i]
		count[m.lines()]++
		m.Same[0] = count[m.lines()]
	}
	for i := range mutations {
		mutations[i].Same[1] = count[mutations[i].lines()]
	}
}

// A finder collects the mutations of one file.
type finder struct {
	name      string
	source    []byte
	positions *token.File
	swaps     map[token.Token][]token.Token
	found     []Mutation
}

// replace adds the mutation that replaces the source between two positions with text,
// unless they are equal.
func (f *finder) replace(from, to token.Pos, text string) {
	m := Mutation{File: f.name, start: f.positions.Offset(from), end: f.positions.Offset(to), text: text}
	if string(f.source[m.start:m.end]) == text {
		return
	}
	position := f.positions.Position(from)
	m.Line, m.Column = position.Line, position.Column
	m.From = line(f.source, m.start)
	m.To = line(m.apply(f.source), m.start)
	f.found = append(f.found, m)
}

// line returns the line of the source that contains the offset.
func line(source []byte, offset int) string {
	start := bytes.LastIndexByte(source[:offset], '\n') + 1
	length := bytes.IndexByte(source[start:], '\n')
	if length < 0 {
		length = len(source) - start
	}
	return string(bytes.TrimSpace(source[start : start+length]))
}

// textOf returns the source of a node.
func (f *finder) textOf(n ast.Node) string {
	return string(f.source[f.positions.Offset(n.Pos()):f.positions.Offset(n.End())])
}
