package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAcceptedMutantsAreReadByPackage(t *testing.T) {
	m := Mutation{File: "a.go", From: "if a || b {", To: "if a && b {"}
	raw := Mutation{File: "a.go", From: "s := `x` + t", To: "s := `x` - t"}
	document := "# Mutants\n\n- `a.go`: `x` → `y`: of no package\n\n## cache\n\nText.\n\n- " +
		m.String() + ": both are always the same,\n  because.\n- " + raw.String() + ": a reason\n- a note\n\n## stats\n\n- `b.go`: `c` → `d`: why\n"
	want := Accepted{
		"":      {"`a.go`: `x` → `y`": "of no package"},
		"cache": {m.String(): "both are always the same,", raw.String(): "a reason"},
		"stats": {"`b.go`: `c` → `d`": "why"},
	}
	got := parseAccepted(document)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("accepted (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{raw.String()}, got.stale("cache", []Mutation{m})); diff != "" {
		t.Errorf("stale (-want +got):\n%s", diff)
	}
}
