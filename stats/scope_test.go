package stats

import (
	"strings"
	"testing"
)

// FuzzScopesHaveKeysOfTheirOwn checks that two scopes share a key only if they are the
// same, whatever bytes their names contain, and that no name brings a byte into a key
// that stores use as a separator.
func FuzzScopesHaveKeysOfTheirOwn(f *testing.F) {
	f.Add("us", "org", "env", "region", "store", "us", "org", "env/region", "store", "")
	f.Add("us", "a/b", "", "", "", "us", "a", "b", "", "")
	f.Add("us", "}{", "%2F", ":", "\x00", "us/}", "{", "/", ":", "\x00")
	f.Fuzz(func(t *testing.T, p1, o1, e1, r1, s1, p2, o2, e2, r2, s2 string) {
		a, b := scopeNamed(p1, o1, e1, r1, s1), scopeNamed(p2, o2, e2, r2, s2)
		keyA, keyB := string(scopeKey(a)), string(scopeKey(b))
		if (a == b) != (keyA == keyB) {
			t.Errorf("%+v and %+v have the keys %q and %q", a, b, keyA, keyB)
		}
		if strings.ContainsAny(keyA, "\x00{} ") {
			t.Errorf("key %q of %+v holds what separates", keyA, a)
		}
		if around, name, ok := a.parent(); ok && around.child(name) != a {
			t.Errorf("%q below %+v is not %+v", name, around, a)
		}
	})
}

// scopeNamed returns a scope whose names end at the first empty one, as in every scope.
func scopeNamed(plane, organization, environment, region, store string) Scope {
	s := Scope{Plane: plane, Organization: organization}
	for _, name := range []string{environment, region, store} {
		if name == "" {
			break
		}
		s = s.child(name)
	}
	return s
}

func TestAnOrganizationHasNoScopeAroundIt(t *testing.T) {
	t.Parallel()
	if around, name, ok := (Scope{Plane: "us", Organization: "org"}).parent(); ok {
		t.Errorf("%q below %+v, want none", name, around)
	}
}

func TestOnlyARootIsParsedAsOne(t *testing.T) {
	t.Parallel()
	for _, root := range []string{"", "us", "us/%zz", "%zz/org", "us/a/b", "us/%61"} {
		if scope, ok := parseRoot(root); ok {
			t.Errorf("%q is read as %+v", root, scope)
		}
	}
	want := Scope{Plane: "us", Organization: "a/b"}
	if got, ok := parseRoot(want.root()); !ok || got != want {
		t.Errorf("got %+v, %t; want %+v", got, ok, want)
	}
}
