package policy_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"osgate/policy"
)

func TestFaultsAreReportedWithTheirPlace(t *testing.T) {
	for _, tt := range []struct {
		name, rules string
		want        string // in the one problem
	}{
		{"syntax", permitAll + "permit(principal, action resource);", "p.cedar:2:34: near \")\""},
		{"a string that does not end", "\n  permit(principal == Client::\"a, action, resource);", "p.cedar:2:"},
		{"two rules of one id", permitAll + permitAll, "p.cedar:2:1: rule all: its id is that of the rule at p.cedar:1"},
		{"an unknown annotation", `@moed("shadow") permit(principal, action, resource);`, "p.cedar:1:1: rule p.cedar:1: unknown annotation @moed"},
		{"an unknown mode", permitAll + `  @mode("shadwo") permit(principal, action, resource);`, `p.cedar:2:3: rule p.cedar:2: @mode("shadwo")`},
		{"an id that is no label", `@id("a b") permit(principal, action, resource);`, "@id has"},
		{"the id of the default", `@id("default") permit(principal, action, resource);`, "@id has"},
		{"an empty reason", `@reason("") permit(principal, action, resource);`, "@reason has"},
		{"an unknown principal", `permit(principal == App::"a", action, resource);`, "unrecognized entity type `App`"},
		{"an unknown action", `permit(principal, action == Action::"getkey", resource);`, "unrecognized action `Action::\"getkey\"`"},
		{"an unknown group", `permit(principal, action in [Action::"reads"], resource);`, "unrecognized action"},
		{"an unknown attribute", when(`resource.stor == "x"`), "stor"},
		{"an unknown fact", when(`context.bytes > 1`), "bytes"},
		{"a header that is not offered", when(`context.headers has "x-no" && context.headers["x-no"] == "1"`), "there is no header that rules may read `x-no`"},
		{"an attribute that nothing has", when(`resource has stor && resource.stor == "s"`), "there is no attribute of a resource `stor`"},
		{"a fact that nothing has", when(`!(context has ttl)`), "there is no attribute of the context `ttl`"},
		{"a fact that may be absent", when(`context.ttlSeconds > 60`), "ttlSeconds"},
		{"a header that may be absent", when(`context.headers["x-app"] == "1"`), "x-app"},
		{"an action impossible there", `permit(principal, action == Action::"listRegions", resource is Key);`, "unable to find an applicable action"},
		{"a string compared with a number", when(`resource.store == 1`), "type"},
		{"an address compared with a string", when(`context.sourceIP == "10.0.0.1"`), "type"},
		{"a condition that is no truth value", when(`resource.store`), "Bool"},
		{"a network that is none", when(`context.sourceIP.isInRange(ip("10.0.0.0/99"))`), ""},
		{"a store's id without environment", `permit(principal, action, resource == Store::"s");`, `the id is "<environment>/<store>"`},
		{"the same in a condition", when(`resource == Store::"s"`), `the id is "<environment>/<store>"`},
		{"a key's id that is none", `permit(principal, action, resource in Key::"KeyOne");`, `<partition>/<key>`},
		{"an escape that is none", `permit(principal, action, resource in Store::"e/a%2f");`, `%2F`},
		{"brackets without end", strings.Repeat("(", 1<<20), "nested more than"},
		{"a rule without end", permitAll + "permit(principal, action, resource) when { " + strings.Repeat("true && ", 1<<14) + "true };", "more than 65536 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := policy.Load(policy.Options{Path: write(t, "p.cedar", tt.rules), Headers: []string{"x-app"}})
			var wrong *policy.LoadError
			if !errors.As(err, &wrong) {
				t.Fatalf("error %v, want a *LoadError", err)
			}
			if p := wrong.Problems[0]; p.File != "p.cedar" || p.Line == 0 || p.Column == 0 || !strings.Contains(p.String(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q, want %q with file, line and column in one line", err, tt.want)
			}
		})
	}
}

func TestEveryFaultIsReported(t *testing.T) {
	_, err := policy.Load(policy.Options{Path: write(t, "a.cedar", when(`resource.a == ""`)+"\n"+when(`resource.b == ""`), "b.cedar", "permit(", "c.cedar", `@x("") `+permitAll)})
	for _, want := range []string{"a.cedar:1:1: ", "a.cedar:2:1: ", "b.cedar:1:", "c.cedar:1:1: "} {
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want %q in it, in one line", err, want)
		}
	}
}

// TestAnEmptyFileLiftsNoRules since an editor may be writing it, or the disk may be
// full.
func TestAnEmptyFileLiftsNoRules(t *testing.T) {
	folder := write(t, "a.cedar", permitAll, "b.cedar", `@id("b") forbid(principal, action, resource);`)
	p, err := policy.Load(policy.Options{Path: folder})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", " \n"} {
		if err := os.WriteFile(filepath.Join(folder, "b.cedar"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := p.Reload(); err == nil || !strings.Contains(err.Error(), "b.cedar: the file is empty") || p.Rules().Len() != 2 {
			t.Errorf("%q: %v, %d rules; want the two before and a word", text, err, p.Rules().Len())
		}
	}
	if err := os.WriteFile(filepath.Join(folder, "b.cedar"), []byte("// none today\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.Reload(); err != nil || p.Rules().Len() != 1 {
		t.Errorf("a comment alone: %v, %d rules; want 1", err, p.Rules().Len())
	}
}

// TestAMisspelledAttributeIsReportedOnce and not once for each type that a resource may
// have.
func TestAMisspelledAttributeIsReportedOnce(t *testing.T) {
	_, err := policy.Load(policy.Options{Path: write(t, "p.cedar", `permit(principal, action, resource) when { resource.sstore == "x" };`)})
	e, ok := errors.AsType[*policy.LoadError](err)
	if !ok || len(e.Problems) != 1 || !strings.Contains(e.Problems[0].Message, "`sstore`") {
		t.Errorf("%v; want one problem about sstore", err)
	}
}

// TestAFaultIsReportedOnceForAnyNumberOfActions, and all faults in the same order each
// time.
func TestAFaultIsReportedOnceForAnyNumberOfActions(t *testing.T) {
	folder := write(t, "p.cedar", permitAll+`forbid (principal, action, resource) when { !(context has user) || context.user == "x" || resource.b == "" };`+
		"\n"+`forbid (principal, action, resource) when { context.nothing || resource.a == "" || resource.key == 1 };`)
	for range 5 {
		_, err := policy.Load(policy.Options{Path: folder})
		e, ok := errors.AsType[*policy.LoadError](err)
		if !ok {
			t.Fatalf("%v, want a *LoadError", err)
		}
		var got []string
		for _, p := range e.Problems {
			got = append(got, fmt.Sprint(p.Line, ": ", p.Message))
		}
		want := []string{
			"2: attribute `b` not found", "2: unable to guarantee safety of access to optional attribute `user` in context",
			"3: attribute `a` not found", "3: attribute `nothing` in context not found", "3: the types Long and String are not compatible",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-want +got)\n%s", diff)
		}
	}
}

func TestAPolicyWithoutRulesIsRefused(t *testing.T) {
	for name, folder := range map[string]string{
		"no file": t.TempDir(), "no .cedar file": write(t, "p.txt", permitAll), "a hidden file": write(t, ".p.cedar", permitAll), "no rule": write(t, "p.cedar", "// nothing\n"),
	} {
		if _, err := policy.Load(policy.Options{Path: folder}); !errors.Is(err, policy.ErrNoRules) {
			t.Errorf("%s: %v, want ErrNoRules", name, err)
		}
	}
	if _, err := policy.Load(policy.Options{Path: filepath.Join(t.TempDir(), "none")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}

func TestFilesAreReadInTheOrderOfTheirNames(t *testing.T) {
	folder := write(t, "b.cedar", permitAll, "a.cedar", "permit(principal, action, resource);\npermit(principal, action, resource);", "c.txt", "no rule")
	if err := os.Mkdir(filepath.Join(folder, "d.cedar"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(folder, "c.txt"), filepath.Join(folder, "..data")); err != nil {
		t.Fatal(err)
	}
	p, err := policy.Load(policy.Options{Path: folder})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a.cedar:1", "a.cedar:2", "all"}, p.Rules().IDs()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	one, err := policy.Load(policy.Options{Path: filepath.Join(folder, "b.cedar")})
	if err != nil || one.Rules().Len() != 1 {
		t.Errorf("one file: %d rules, %v", one.Rules().Len(), err)
	}
}

func TestPoliciesAreBounded(t *testing.T) {
	many := t.TempDir()
	for i := range 1001 {
		if err := os.WriteFile(filepath.Join(many, fmt.Sprintf("%04d.cedar", i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, folder := range map[string]string{
		"files": many, "bytes": write(t, "a.cedar", strings.Repeat(" ", 5<<20), "b.cedar", strings.Repeat(" ", 5<<20)),
		"rules": write(t, "a.cedar", strings.Repeat("permit(principal,action,resource);", 10_001)),
	} {
		if _, err := policy.Load(policy.Options{Path: folder}); err == nil || !strings.Contains(err.Error(), "more than") {
			t.Errorf("too many %s: %v", name, err)
		}
	}
}

// TestAStoreOfOneNameEqualsNoResource, so that its id is refused with == and !=, and
// accepted with in.
func TestAStoreOfOneNameEqualsNoResource(t *testing.T) {
	for condition, ok := range map[string]bool{
		`resource == Store::"st"`: false, `resource != Store::"st"`: false, `Store::"st" == resource`: false,
		`resource in Store::"st"`: true, `resource in [Store::"st"]`: true, `resource != Store::"env/st"`: true,
		`resource in Store::"a/b/c"`: false, `resource in [Store::"a/b/c"]`: false, `action == Action::"getKey"`: true,
	} {
		_, err := policy.Load(policy.Options{Path: write(t, "p.cedar", when(condition))})
		if (err == nil) != ok {
			t.Errorf("%s: %v, want it taken: %t", condition, err, ok)
		}
	}
}

// TestAPolicyOfTheLargestSizeIsTaken, and one more file or rule is refused.
func TestAPolicyOfTheLargestSizeIsTaken(t *testing.T) {
	many := write(t, "0.cedar", permitAll)
	for i := range 999 {
		if err := os.WriteFile(filepath.Join(many, fmt.Sprintf("x%04d.cedar", i)), []byte("// none"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, folder := range map[string]string{"files": many, "rules": write(t, "a.cedar", strings.Repeat("permit(principal,action,resource);", 10_000))} {
		if _, err := policy.Load(policy.Options{Path: folder}); err != nil {
			t.Errorf("as many %s as there may be: %v", name, err)
		}
	}
}

func TestHeadersThatRulesMayReadAreNames(t *testing.T) {
	folder := write(t, "p.cedar", permitAll)
	for _, names := range [][]string{{"Authorization"}, {"cookie"}, {""}, {"x app"}, strings.Split(strings.Repeat("x,", 1)+"ü", ",")} {
		if _, err := policy.Load(policy.Options{Path: folder, Headers: names}); err == nil {
			t.Errorf("%q: no error", names)
		}
	}
}
