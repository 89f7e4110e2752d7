package policy_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"osgate/policy"
)

// starters is the folder of rules that users copy.
const starters = "../docs/policy"

func TestStarterSetKeepsItsCasesAsAWhole(t *testing.T) {
	p, err := policy.Load(policy.Options{Path: starters})
	if err != nil {
		t.Fatal(err)
	}
	report, err := policy.RunCases(p.Rules(), starters, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Failures {
		t.Error(f)
	}
	if report.Cases < 40 {
		t.Errorf("%d cases were run, want all", report.Cases)
	}
}

// Each file works as documented when it is copied alone, beside the one that permits.
func TestEachStarterStandsAlone(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(starters, "*.cedar"))
	if err != nil || len(files) < 8 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	base, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			p, err := policy.Load(policy.Options{Path: write(t, filepath.Base(files[0]), string(base), name, string(text))})
			if err != nil {
				t.Fatal(err)
			}
			report, err := policy.RunCases(p.Rules(), strings.TrimSuffix(file, ".cedar")+".cases.json", nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range report.Failures {
				t.Error(f)
			}
			if report.Cases < 3 {
				t.Errorf("%d cases", report.Cases)
			}
			everyRuleIsNamed(t, p.Rules(), strings.TrimSuffix(file, ".cedar")+".cases.json")
		})
	}
}

// everyRuleIsNamed fails if a rule has no case that it decides.
func everyRuleIsNamed(t *testing.T, rs *policy.Rules, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range rs.IDs() {
		if !strings.Contains(string(text), `"rule": "`+id+`"`) {
			t.Errorf("no case is decided by %s", id)
		}
	}
}
