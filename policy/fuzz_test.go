package policy_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"osgate/objectstore"
	"osgate/policy"
)

// For any file, loading does not panic, errors are *LoadError, and accepted rules
// decide on every operation and deny if a forbid failed.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		permitAll, noDeletes, failing, permitAll + failing, "permit(", `@id("`, "// x", "\x00", "permit(principal,action,resource)when{" + "!!!!!true};",
		when(`context.headers has "x-app"`), in(`Store::"a"`), `forbid(principal is User in Organization::"o", action in [], resource);`,
		`permit(principal, action, resource) when { if true then context == {} else [1,2].containsAny([resource]) };`,
		`permit(principal, action, resource) when { resource["store"] like "\*a*\u{41}" && ip("::1/8").isIpv6() && decimal("1.1").lessThan(decimal("2.0")) };`,
	} {
		f.Add(seed)
	}
	starters, err := filepath.Glob(filepath.Join(starters, "*.cedar"))
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range starters {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	requests := []policy.Request{
		requestOf(f, "GET "+keyOne), requestOf(f, "PUT "+keyOne, func(r *policy.Request) { r.ValueBytes = 1 }), requestOf(f, "GET "+root+"/regions"), requestOf(f, "DELETE "+billing),
		{Operation: objectstore.Operation{Kind: objectstore.ReadStats}},
	}
	folder := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(filepath.Join(folder, "p.cedar"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := policy.Load(policy.Options{Path: folder, Headers: []string{"x-app"}})
		if err != nil {
			var wrong *policy.LoadError
			if !errors.As(err, &wrong) && !errors.Is(err, policy.ErrNoRules) {
				t.Fatalf("%q: %v is no *LoadError", text, err)
			}
			return
		}
		for _, r := range requests {
			d := p.Decide(r)
			if d.Allowed == (d.Reason != "") || d.Rule == "" {
				t.Errorf("%q: %+v is neither a permit nor a denial with a reason", text, d)
			}
		}
	})
}
