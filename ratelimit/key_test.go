package ratelimit_test

import (
	"strings"
	"testing"

	"osgate/ratelimit"
)

// FuzzKeysAreEqualOnlyForEqualParts: nobody can choose a client ID, or a plane, that
// makes him spend another's quota.
func FuzzKeysAreEqualOnlyForEqualParts(f *testing.F) {
	f.Add("us", "client", "us", "client")
	f.Add("us", "client", "u", "sclient")
	f.Add("", "us:client", "us", "client")
	f.Add("a", "\x01b", "a\x01", "b")
	f.Fuzz(func(t *testing.T, plane1, principal1, plane2, principal2 string) {
		same := plane1 == plane2 && principal1 == principal2
		key1, key2 := ratelimit.Key(plane1, principal1), ratelimit.Key(plane2, principal2)
		if (key1 == key2) != same {
			t.Errorf("Key(%q, %q) = %s, Key(%q, %q) = %s", plane1, principal1, key1, plane2, principal2, key2)
		}
		if len(key1) != 22 || strings.ContainsAny(key1, "{}: \n") {
			t.Errorf("Key(%q, %q) = %q is not 22 harmless characters", plane1, principal1, key1)
		}
	})
}
