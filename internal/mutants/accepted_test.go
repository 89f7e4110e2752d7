package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAcceptedMutantsAreReadByPackage(t *testing.T) {
	m := Mutation{File: "a.go", From: "if a || b {", To: "if a && b {"}
	raw := Mutation{File: "a.go", From: "s := `x` + t", To: "s := `x` - t"}
	second := Mutation{File: "a.go", From: "return true", To: "return false", Same: [2]int{2, 3}}
	document := "# Mutants\n\n- `a.go`: `x` → `y`: of no package\n\n## cache\n\nText.\n\n- " +
		m.String() + ": both are always the same,\n  because.\n- " + raw.String() + ": a reason\n- " + second.String() + ": another\n- a note\n\n## stats\n\n- `b.go`: `c` → `d`: why\n"
	want := Accepted{
		"":      {"`a.go`: `x` → `y`": "of no package"},
		"cache": {m.String(): "both are always the same,", raw.String(): "a reason", second.String(): "another"},
		"stats": {"`b.go`: `c` → `d`": "why"},
	}
	got := parseAccepted(document)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("accepted (-want +got):\n%s", diff)
	}
	first := second
	first.Same[0] = 1
	if diff := cmp.Diff([]string{raw.String(), second.String()}, got.stale("cache", []Mutation{m, first})); diff != "" {
		t.Errorf("stale (-want +got):\n%s", diff)
	}
}
