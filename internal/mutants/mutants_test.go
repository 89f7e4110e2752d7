package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sample is a package with a mutant for each verdict.
var sample = map[string]string{
	"go.mod": "module made.up\n\ngo 1.26\n",
	"p/p.go": `package p

func Larger(a, b int) bool {
	return a > b
}

func Unused(a int) int {
	return a
}

func Count(n int) int {
	sum := 0
	for i := 0; i < n; i++ {
		sum = sum + 1
	}
	return sum
}

func Text(a, b string) string {
	return a + b
}

func Same(a int) int {
	if a > 0 || a < 0 {
		return a
	}
	return 0
}
`,
	"p/p_test.go": `package p

import "testing"

func TestLarger(t *testing.T) {
	t.Parallel()
	if !Larger(2, 1) || Larger(1, 2) {
		t.Error("wrong")
	}
}

func TestCount(t *testing.T) {
	t.Parallel()
	if Count(3) != 3 || Text("a", "b") != "ab" || Same(3) != 3 {
		t.Error("wrong")
	}
}
`,
	"docs/mutants.md": "## p\n\n- `p.go`: `if a > 0 || a < 0 {` → `if a >= 0 || a < 0 {`: zero is returned anyway\n",
}

// write writes the files of a module and returns its folder.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		file := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestEachMutantGetsItsVerdict(t *testing.T) {
	t.Parallel()
	root := write(t, sample)
	target, err := load(t.Context(), root, "p")
	if err != nil {
		t.Fatal(err)
	}
	var progress bytes.Buffer
	if err := target.cover(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	want := map[string]Verdict{
		"return a >= b":            Survived,
		"return a <= b":            Killed,
		"return 0":                 Killed, // of Count and Same; Unused is not covered
		"for i := 0; i < n; i-- {": TimedOut,
		"return a - b":             NotCompiled,
	}
	got := map[string]Verdict{}
	for _, m := range target.mutations {
		if _, ok := want[m.To]; !ok || !target.whole.runs(m) {
			continue
		}
		trial, err := target.try(t.Context(), m, 4)
		if err != nil {
			t.Fatal(err)
		}
		got[m.To] = trial.Verdict
		if trial.Verdict == Killed && !strings.HasPrefix(trial.By, "Test") {
			t.Errorf("%s was killed by %q", m, trial.By)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s\n%s", diff, progress.String())
	}
	if text, err := os.ReadFile(filepath.Join(root, "p", "p.go")); err != nil || string(text) != sample["p/p.go"] {
		t.Errorf("the checkout was changed: %v", err)
	}
}

// A machine may be busier than it was when the tests were measured. The test of this
// package takes longer than its limit, with a mutation and without one.
func TestASlowTestIsNoTimeout(t *testing.T) {
	t.Parallel()
	target, err := load(t.Context(), write(t, map[string]string{
		"go.mod":      sample["go.mod"],
		"p/p.go":      "package p\n\nfunc Sum(a, b int) int { return a + b }\n",
		"p/p_test.go": "package p\n\nimport (\n\"testing\"\n\"time\"\n)\n\nfunc TestSum(t *testing.T) { <-time.After(time.Second); Sum(1, 2) }\n",
	}), "p")
	if err != nil {
		t.Fatal(err)
	}
	target.leastLimit = 100 * time.Millisecond
	for _, m := range target.mutations {
		if trial, err := target.try(t.Context(), m, 4); err != nil || trial.Verdict != Survived {
			t.Errorf("%s %s, error %v, want %s", m, trial.Verdict, err, Survived)
		}
	}
}

func TestARunReportsSurvivorsAndScore(t *testing.T) {
	t.Parallel()
	root := write(t, sample)
	var out, progress bytes.Buffer
	if err := mutants(t.Context(), []string{"-root", root, "-sample", "0", "-only", "p.go:4", "p"}, &out, &progress); err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`\| p \| \d+ \| 2 \| 1 \| 0 \| 1 \| 0 \| 0 \| 50 % \| 1 \| \d+s \|`)
	if !row.Match(out.Bytes()) {
		t.Errorf("no row %s in\n%s", row, out.String())
	}
	if want := "p/p.go:4:11 survived\n- `p.go`: `return a > b` → `return a >= b`: \n"; !strings.Contains(out.String(), want) {
		t.Errorf("no survivor %q in\n%s", want, out.String())
	}
}

func TestAcceptedAndUncoveredMutantsAreNotRun(t *testing.T) {
	t.Parallel()
	root := write(t, sample)
	var out, progress bytes.Buffer
	for _, tt := range []struct{ place, want string }{
		{"p.go:8", `\| p \| \d+ \| 1 \| 0 \| 0 \| 0 \| 1 \| 0 \| 0 % \|`},
		{"p.go:24", `\| p \| \d+ \| 5 \| \d \| 0 \| \d \| 0 \| 1 \| \d+ % \|`},
	} {
		out.Reset()
		if err := mutants(t.Context(), []string{"-root", root, "-sample", "0", "-only", tt.place, "p"}, &out, &progress); err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(tt.want).Match(out.Bytes()) {
			t.Errorf("%s: no row %s in\n%s", tt.place, tt.want, out.String())
		}
	}
}

func TestTestsThatFailWithoutAMutationAreAnError(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"go.mod":      sample["go.mod"],
		"p/p.go":      "package p\n",
		"p/p_test.go": "package p\n\nimport \"testing\"\n\nfunc TestBroken(t *testing.T) { t.Error(\"as before\") }\n",
	}
	var out, progress bytes.Buffer
	err := mutants(t.Context(), []string{"-root", write(t, files), "p"}, &out, &progress)
	if err == nil || !strings.Contains(err.Error(), "TestBroken") {
		t.Errorf("error %v, want one that names the test", err)
	}
}

// leaks is a package whose TestMain fails where one of its tests is run alone.
var leaks = map[string]string{
	"go.mod": "module made.up\n\ngo 1.26\n",
	"p/p.go": "package p\n\nvar Ended int\n\nfunc One(a, b int) int { return a + b }\n\nfunc End(a, b int) { Ended = a * b }\n",
	"p/p_test.go": `package p

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	if code := m.Run(); code != 0 || Ended == 0 {
		os.Exit(1)
	}
}

func TestOne(t *testing.T) {
	t.Parallel()
	_ = One(1, 2)
}

func TestEnd(t *testing.T) {
	t.Parallel()
	End(2, 1)
}
`,
}

func TestALeakThatATestAloneLeavesIsNoVerdict(t *testing.T) {
	t.Parallel()
	var out, progress bytes.Buffer
	if err := mutants(t.Context(), []string{"-root", write(t, leaks), "-sample", "0", "p"}, &out, &progress); err != nil {
		t.Fatal(err)
	}
	var got []string
	for row := range strings.Lines(progress.String()) {
		if words := strings.Fields(row); words[1] != "made" && len(words) > 3 && strings.Contains(row, "p.go:") {
			got = append(got, strings.TrimSpace(row[strings.Index(row, words[2]):]))
		}
	}
	slices.Sort(got)
	want := []string{
		"killed p.go:7 func End(a, b int) { if false { Ended = a * b } } TestMain",
		"survived p.go:5 func One(a, b int) int { return 0 }",
		"survived p.go:5 func One(a, b int) int { return a - b }",
		"survived p.go:7 func End(a, b int) { Ended = a / b }",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("trials (-want +got):\n%s", diff)
	}
}

func TestOnlyTestsThatCoverAMutantAreRunTheQuickOnesFirst(t *testing.T) {
	t.Parallel()
	output := "=== RUN   TestA\n--- PASS: TestA (0.99s)\n    --- PASS: TestA/part (3.00s)\n--- PASS: TestB (1.00s)\n--- PASS: FuzzC (0.50s)\n--- PASS: TestD (12.50s)\nPASS\n"
	target := Target{tests: parseTests([]byte(output))}
	line := func(n int, run bool) Block { return Block{begin: [2]int{n, 1}, end: [2]int{n, 99}, run: run} }
	for i, test := range target.tests { // all run line 1, each a line of its own, none line 6
		blocks := []Block{line(1, true), line(6, false)}
		for n := range target.tests {
			blocks = append(blocks, line(2+n, n == i))
		}
		target.tests[i].coverage = Coverage{"p.go": blocks}
		if strings.Contains(test.Name, "/") {
			t.Errorf("%s is a part of a test", test.Name)
		}
	}
	for _, tt := range []struct {
		line int
		want []string
		took time.Duration
	}{
		{1, []string{"-test.run=^(TestA|FuzzC)$", "-test.run=^(TestB|TestD)$"}, 14990 * time.Millisecond},
		{2, []string{"-test.run=^(TestA)$"}, 990 * time.Millisecond},
		{5, []string{"-test.run=^(TestD)$"}, 12500 * time.Millisecond},
		{6, []string{"-test.run=."}, 14990 * time.Millisecond},
	} {
		got, took := target.stages(Mutation{File: "p.go", Line: tt.line, Column: 2})
		if diff := cmp.Diff(tt.want, got); diff != "" || took != tt.took {
			t.Errorf("line %d: stages (-want +got):\n%s\nthat took %v, want %v", tt.line, diff, took, tt.took)
		}
	}
}
