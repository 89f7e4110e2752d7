package main

import "testing"

// The command of a run must lead to the same run.
func TestTheCommandOfARunHasItsSettings(t *testing.T) {
	t.Parallel()
	o, err := parse([]string{"-rounds", "2", "-connections", "8,16", "-only", "hit", "-osgate-base", "old"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := makeVariables(o), " ROUNDS=2 CONNECTIONS=8,16 ONLY='hit' OSGATE_BASE=old"; got != want {
		t.Errorf("the settings are %q, want %q", got, want)
	}
	if o, err = parse(nil); err != nil || makeVariables(o) != "" {
		t.Errorf("the defaults are %q, %v, want none", makeVariables(o), err)
	}
}

func TestParseRefusesSettingsWithoutAMeaning(t *testing.T) {
	t.Parallel()
	for _, arguments := range [][]string{
		{"-connections", "32,x"}, {"-connections", "0"}, {"-rounds", "0"}, {"-seconds", "0"}, {"-only"},
	} {
		if _, err := parse(arguments); err == nil {
			t.Errorf("%q is accepted", arguments)
		}
	}
}
