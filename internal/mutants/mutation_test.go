package main

import (
	"go/format"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// inFunction returns a file whose only function has the results and the body.
func inFunction(results, body string) string {
	return "package p\n\nfunc f(a, b int, ok bool, s string) " + results + " {\n" + body + "\n}\n"
}

func TestEachOperatorChangesWhatItShould(t *testing.T) {
	tests := []struct {
		name          string
		results, body string
		want          []string // the changed lines
	}{
		{"comparisons get their boundary and their opposite", "", "for a < b {\n}", []string{"for a <= b {", "for a >= b {"}},
		{"greater or equal", "", "for a >= b {\n}", []string{"for a > b {", "for a < b {"}},
		{"equal", "", "for a == b {\n}", []string{"for a != b {"}},
		{"logical operators", "", "for ok && ok {\n}", []string{"for ok || ok {"}},
		{"a negation is left out", "", "for !ok {\n}", []string{"for ok {"}},
		{"a condition is negated", "", "if ok {\n}", []string{"if !(ok) {"}},
		{"a comparison is not negated twice", "", "if a == b {\n}", []string{"if a != b {"}},
		{"arithmetic", "", "a := a*b - a%b", []string{"a := a/b - a%b", "a := a*b + a%b", "a := a*b - a*b"}},
		{"shifts and masks", "", "a := a<<1 | b", []string{"a := a>>1 | b", "a := a<<1 & b"}},
		{"texts are not subtracted", "", "s := s + \"x\" + s", nil},
		{"increment", "", "a++", []string{"a--"}},
		{"assignment with an operator, and its removal", "", "a -= b", []string{"if false { a -= b }", "a += b"}},
		{"a text is not subtracted from", "", "s += \"x\"", []string{"if false { s += \"x\" }"}},
		{"an assignment is removed, a definition is not", "", "a = b\nc := a\n_ = c", []string{"if false { a = b }"}},
		{"a call is removed", "", "f(a)", []string{"if false { f(a) }"}},
		{"a deferred call and one in a goroutine", "", "defer f(a)\ngo f(b)", []string{"if false { defer f(a) }", "if false { go f(b) }"}},
		{"a call in a case", "", "switch {\ncase ok:\nf(a)\n}", []string{"if false { f(a) }"}},
		{"the statement before a condition stays", "", "if a = b; ok {\n}", []string{"if a = b; !(ok) {"}},
		{"locks stay", "", "mu.Lock()\ndefer mu.Unlock()\nmu.RLock()\nmu.RUnlock()", nil},
		{"constants", "", "x := true\ny := false", []string{"x := false", "y := true"}},
		{"results become zero", "(int, string, *T, error)", "return a, s, p, err", []string{
			"return 0, s, p, err", `return a, "", p, err`, "return a, s, nil, err", "return a, s, p, nil",
		}},
		{"a result of another type", "time.Duration", "return d", []string{"return *new(time.Duration)"}},
		{"a boolean result is negated", "bool", "return f(a)", []string{"return !(f(a))"}},
		{"what is zero stays", "(int, string, []T, error)", "return 0, \"\", []T{}, nil", nil},
		{"the results of a call stay", "(int, error)", "return g()", nil},
		{"results of a function in a function are its own", "int", "g := func() string { return s }", []string{"g := func() string { return \"\" }"}},
		{"results with names", "(c, d int)", "return a, b", []string{"return 0, b", "return a, 0"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			source := []byte(inFunction(tt.results, tt.body))
			found, err := find("p.go", source)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, m := range found {
				got = append(got, m.To)
				mutated := m.apply(source)
				if _, err := format.Source(mutated); err != nil {
					t.Errorf("%s is no Go: %v", m, err)
				}
				if string(mutated) == string(source) {
					t.Errorf("%s changes nothing", m)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("changed lines (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMutationsOfTheSameTextAreNumbered(t *testing.T) {
	t.Parallel()
	found, err := find("p.go", []byte(inFunction("bool", "if a > b {\nreturn true\n}\nif a < b {\nreturn true\n}\nreturn false")))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range found {
		if strings.HasPrefix(m.From, "return") {
			got = append(got, m.String())
		}
	}
	want := []string{
		"`p.go`: `return true` → `return false` (1 of 2)", "`p.go`: `return true` → `return false` (2 of 2)", "`p.go`: `return false` → `return true`",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("mutations (-want +got):\n%s", diff)
	}
}

func TestAMutationSaysWhereItIs(t *testing.T) {
	source := inFunction("", "a = b\n\tf(\n\t\ta)")
	found, err := find("p.go", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	m := found[1]
	if m.Line != 5 || m.Column != 2 || m.From != "f(" || m.To != "if false { f(" {
		t.Errorf("got %d:%d %q %q, want the first line of the call", m.Line, m.Column, m.From, m.To)
	}
	if got := string(m.apply([]byte(source))); !strings.Contains(got, "if false { f(\n\t\ta) }") {
		t.Errorf("the mutant is %s", got)
	}
	if got, want := m.String(), "`p.go`: `f(` → `if false { f(`"; got != want {
		t.Errorf("the mutation is %s, want %s", got, want)
	}
}

func TestASourceThatIsNoGoIsAnError(t *testing.T) {
	if _, err := find("p.go", []byte("package")); err == nil {
		t.Error("no error")
	}
}
