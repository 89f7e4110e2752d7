package main

import "testing"

func TestAMutantIsCoveredByTheInnermostBlock(t *testing.T) {
	coverage, err := parseCoverage([]byte("mode: set\n" +
		"osgate/p/p.go:10.20,20.2 3 1\n" + // a function
		"osgate/p/p.go:12.10,14.3 1 0\n" + // a branch that is never taken
		"osgate/p/q.go:1.1,9.9 1 0\n"))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name         string
		file         string
		line, column int
		want         bool
	}{
		{"in the function", "p.go", 11, 2, true},
		{"at its first byte", "p.go", 10, 20, true},
		{"in the branch", "p.go", 13, 2, false},
		{"at the first byte of the branch", "p.go", 12, 10, false},
		{"just before the branch", "p.go", 12, 9, true},
		{"just after the branch", "p.go", 14, 3, true},
		{"in no block", "p.go", 3, 1, true},
		{"in another file", "q.go", 3, 1, false},
		{"in a file without blocks", "r.go", 3, 1, true},
	}
	for _, tt := range tests {
		if got := coverage.runs(Mutation{File: tt.file, Line: tt.line, Column: tt.column}); got != tt.want {
			t.Errorf("%s: run is %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestAProfileThatIsNoneIsAnError(t *testing.T) {
	for _, text := range []string{"no profile", "p.go:1.1,2.2 one 1"} {
		if _, err := parseCoverage([]byte(text)); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}
