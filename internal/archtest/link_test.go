package archtest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// linked is the output of go list for a made-up command that imports the banned package
// "ban" in two ways. The shorter one goes through "lib".
const linked = `
{"ImportPath": "ban"}
{"ImportPath": "lib", "Imports": ["ban"]}
{"ImportPath": "far", "Imports": ["ban", "far"]}
{"ImportPath": "near", "Imports": ["far", "cmd"]}
{"ImportPath": "cmd", "Imports": ["near", "lib"]}
`

func TestBanNamesTheShortestChain(t *testing.T) {
	g, err := parseGraph(linked)
	if err != nil {
		t.Fatal(err)
	}
	const says = "c must not link ban (why), but does: "
	tests := []struct {
		name string
		ban  Ban
		want string
	}{
		{"reached", Ban{Package: "ban"}, says + "cmd → lib → ban"},
		{"reached another way", Ban{Package: "ban", Except: []string{"lib"}}, says + "cmd → near → far → ban"},
		{"reached through exceptions only", Ban{Package: "ban", Except: []string{"lib", "far"}}, ""},
		{"not linked", Ban{Package: "other"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.ban.Command, tt.ban.Because = "c", "why"
			if diff := cmp.Diff(tt.want, tt.ban.Check(g, "cmd")); diff != "" {
				t.Errorf("Check (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLinkedSeesTheWholeChain(t *testing.T) {
	g, err := Linked(t.Context(), moduleRoot, "internal/archtest")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"osgate/internal/archtest", "go/parser", "go/build/constraint"}
	if diff := cmp.Diff(want, g.Chain(want[0], want[2])); diff != "" {
		t.Errorf("Chain (-want +got):\n%s", diff)
	}
}

func TestLinkedTellsWhatTheGoCommandSaid(t *testing.T) {
	_, err := Linked(t.Context(), moduleRoot, "no/such/command")
	if err == nil || !strings.Contains(err.Error(), "no/such/command") || !strings.Contains(err.Error(), "directory") {
		t.Errorf("Linked of a missing directory: error %v, want one that names it and what go list said", err)
	}
}

func TestParseGraphFailsOnTornOutput(t *testing.T) {
	if g, err := parseGraph(`{"ImportPath": "a"`); err == nil {
		t.Errorf("parseGraph of half an object = %v, want an error", g)
	}
}
