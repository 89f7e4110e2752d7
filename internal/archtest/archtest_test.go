package archtest

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
)

// moduleRoot is this module's root as seen from this package's tests.
const moduleRoot = "../.."

func TestModuleKeepsItsImportTable(t *testing.T) {
	pkgs, err := Read(os.DirFS(moduleRoot))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(pkgs, func(p Package) bool { return p.Dir == "internal/archtest" }) {
		t.Fatalf("Read(%q) did not find this package, so it reads the wrong tree", moduleRoot)
	}
	for _, breach := range Rules().Check(pkgs) {
		t.Error(breach)
	}
}

func TestCommandsLinkNothingBanned(t *testing.T) {
	module, err := modulePath(os.DirFS(moduleRoot))
	if err != nil {
		t.Fatal(err)
	}
	graphs := map[string]Graph{}
	for _, ban := range Bans() {
		t.Run(ban.Command+" without "+ban.Package, func(t *testing.T) {
			if _, err := os.Stat(path.Join(moduleRoot, ban.Command)); errors.Is(err, fs.ErrNotExist) {
				t.Skip("there is no such command")
			}
			if graphs[ban.Command] == nil {
				g, err := Linked(t.Context(), moduleRoot, ban.Command)
				if err != nil {
					t.Fatal(err)
				}
				graphs[ban.Command] = g
			}
			command := path.Join(module, ban.Command)
			if graphs[ban.Command][command] == nil {
				t.Fatalf("go list -deps does not name %s", command)
			}
			if breach := ban.Check(graphs[ban.Command], command); breach != "" {
				t.Error(breach)
			}
		})
	}
}

// TestTableKeepsItsLaws checks the rules that an edit of a row must not break.
func TestTableKeepsItsLaws(t *testing.T) {
	rules := Rules()
	for dir, rule := range rules {
		named := slices.Concat(rule.Imports, rule.Tests)
		for _, imported := range named {
			if _, ok := rules[imported]; !ok {
				t.Errorf("row %s names %s, which has no row of its own", dir, imported)
			}
			if strings.HasPrefix(imported, "cmd/") && !(strings.HasPrefix(imported, "cmd/internal/") && strings.HasPrefix(dir, "cmd/")) {
				t.Errorf("row %s names %s; only commands may import cmd packages", dir, imported)
			}
		}
		if !strings.HasPrefix(dir, "cmd/") && (slices.Contains(named, "proxy") || slices.Contains(named, "config")) {
			t.Errorf("row %s names proxy or config; only cmd may", dir)
		}
		if dir != "cmd/osdemo" && dir != "cmd/osemu" && slices.Contains(rule.Imports, "emulator") {
			t.Errorf("row %s imports emulator; the gateway must not contain it", dir)
		}
	}
	for _, leaf := range []string{"config", "objectstore", "record", "internal/breaker", "internal/seal", "internal/retryafter", "e2e"} {
		for _, imported := range rules[leaf].Imports {
			if !slices.Contains([]string{"internal/editdistance", "internal/lengthprefix"}, imported) {
				t.Errorf("row %s imports %s, want no package of this module but a pure function of internal", leaf, imported)
			}
		}
	}
	for _, imported := range rules["e2e"].Tests {
		if !strings.HasPrefix(imported, "internal/") {
			t.Errorf("row e2e names %s; the black-box tests must not import the gateway", imported)
		}
	}
}
