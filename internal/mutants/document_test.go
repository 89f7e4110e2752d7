package main

import (
	"os"
	"testing"
)

// The document must not accept texts that are no longer mutations: a line that was
// changed may be tested now.
func TestAcceptedMutantsAreMutationsOfTheSource(t *testing.T) {
	const root = "../.."
	text, err := os.ReadFile(root + "/docs/mutants.md")
	if err != nil {
		t.Fatal(err)
	}
	accepted := parseAccepted(string(text))
	for name, mutations := range accepted {
		if _, err := os.Stat(root + "/" + name); err != nil {
			t.Errorf("section %q: %v", name, err)
			continue
		}
		target, err := load(t.Context(), root, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, stale := range accepted.stale(name, target.mutations) {
			t.Errorf("%s: no longer a mutation: %s", name, stale)
		}
		for mutation, reason := range mutations {
			if reason == "" {
				t.Errorf("%s: no reason: %s", name, mutation)
			}
		}
	}
}
