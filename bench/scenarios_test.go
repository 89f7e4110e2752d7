package main

import (
	"slices"
	"strings"
	"testing"
)

// A reference that no subject has would leave its ratios out without a word.
func TestEveryReferenceIsASubject(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"", "base"} {
		names := map[string]bool{}
		for _, sc := range scenarios(settings{connections: []int{32}, osgate: "osgate", base: base}) {
			if names[sc.name] {
				t.Errorf("two scenarios are called %s", sc.name)
			}
			names[sc.name] = true
			d := sc.describe()
			for _, reference := range d.References {
				if !slices.Contains(d.Subjects, reference) {
					t.Errorf("base %q: %s is compared with %q, and has %q", base, sc.name, reference, d.Subjects)
				}
			}
			if len(slices.Compact(slices.Sorted(slices.Values(d.Subjects)))) != len(d.Subjects) {
				t.Errorf("base %q: %s has a subject twice: %q", base, sc.name, d.Subjects)
			}
			if base != "" && !strings.Contains(strings.Join(d.References, "\n"), before) {
				t.Errorf("%s does not compare two binaries", sc.name)
			}
		}
	}
}

func TestThePolicyHasTwentyRules(t *testing.T) {
	t.Parallel()
	if n := strings.Count(policy, "@id("); n != 20 {
		t.Errorf("policy.cedar has %d rules, want 20", n)
	}
}
