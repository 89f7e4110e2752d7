package main

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// forms is a package with each form of a function. Its test finds most mutants.
var forms = map[string]string{
	"go.mod": "module made.up\n\ngo 1.26\n",
	"p/p.go": `package p

type Set[E comparable] struct{ of []E }

func (s *Set[E]) Has(e E) bool {
	for _, x := range s.of {
		if x == e {
			return true
		}
	}
	return false
}

func (Set[E]) Name() string { return "set" }

func Last[E any](es ...E) (e E, ok bool) {
	if len(es) > 0 {
		return es[len(es)-1], true
	}
	return e, ok
}

func Next(_ string, n int) int { return n + 1 }

func Two(string, ...int) (n int, err error) { return 1 + 1, nil }

func Sum(of []int) int {
	if len(of) == 0 {
		return 0
	}
	return of[0] + Sum(of[1:])
}

func Add(sum *int, n int) { *sum += n }

func Join(a, b string) string { return a + b }

func Never() int { return 1 }

var Limit = 1 + 2

func init() { Limit++ }
`,
	"p/p_test.go": `package p

import "testing"

func TestAll(t *testing.T) {
	s := Set[int]{[]int{1, 2}}
	last, ok := Last("a", "b")
	_, none := Last[string]()
	two, _ := Two("", 1)
	sum := 1
	Add(&sum, 2)
	if !s.Has(2) || s.Has(3) || s.Name() != "set" || last != "b" || !ok || none {
		t.Error("methods and type parameters")
	}
	if Next("", 1) != 2 || two != 2 || Sum([]int{1, 2}) != 3 || sum != 3 || Join("a", "b") != "ab" || Limit != 4 {
		t.Error("functions")
	}
}
`,
}

// Each mutant of a batch runs: the tests find all but those that cannot be found.
func TestEachMutantOfABatchIsTried(t *testing.T) {
	t.Parallel()
	target, err := load(t.Context(), write(t, forms), "p")
	if err != nil {
		t.Fatal(err)
	}
	if err := target.cover(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	b, err := target.batch(t.Context(), t.TempDir(), target.mutations, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if len(b.numbers) != len(target.mutations)-3 || len(b.broken) != 1 { // those of Limit and init, and a - b of texts
		t.Errorf("%d of %d mutations are in the batch, %d do not compile", len(b.numbers), len(target.mutations), len(b.broken))
	}
	var survivors []string
	for m, number := range b.numbers {
		trial, err := target.verdict(t.Context(), Trial{Mutation: m}, program{b.program, number}, 4)
		if err != nil {
			t.Fatal(err)
		}
		if trial.Verdict != Killed {
			survivors = append(survivors, m.To)
		}
	}
	slices.Sort(survivors)
	want := []string{"func Never() int { return 0 }", "return *new(E), ok"}
	if diff := cmp.Diff(want, survivors); diff != "" {
		t.Errorf("survivors (-want +got):\n%s", diff)
	}
}

// A test that counts what a function costs may fail with the copies.
func TestCopiesThatFailATestAreNotUsed(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"go.mod": forms["go.mod"],
		"p/p.go": "package p\n\nfunc Next(n int) *int {\n\tn++\n\tif n > 9 || n < 0 {\n\t\tn = 0\n\t}\n\treturn &n\n}\n",
		"p/p_test.go": `package p

import "testing"

func TestGarbage(t *testing.T) {
	if n := testing.AllocsPerRun(10, func() { _ = *Next(1) }); n > 0 {
		t.Error("not inlined")
	}
}
`,
	}
	var out, progress bytes.Buffer
	if err := mutants(t.Context(), []string{"-root", write(t, files), "-sample", "0", "p"}, &out, &progress); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(progress.String(), "a program of its own, because with copies of functions TestGarbage fails") {
		t.Errorf("the progress does not state why:\n%s", progress.String())
	}
}
