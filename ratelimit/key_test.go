package ratelimit_test

import (
	"strings"
	"testing"

	"osgate/ratelimit"
)

// FuzzKeysAreEqualOnlyForEqualParts checks that no client can choose a client ID or a
// plane with which it spends the quota of another client.
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
		organization1 := ratelimit.BudgetKey(ratelimit.BudgetByOrganization, plane1, principal1, "", "", "")
		organization2 := ratelimit.BudgetKey(ratelimit.BudgetByOrganization, plane2, principal2, "", "", "")
		if (organization1 == organization2) != same || organization1 == key1 || organization1 == key2 {
			t.Errorf("BudgetKey of %q, %q is %s, of %q, %q is %s", plane1, principal1, organization1, plane2, principal2, organization2)
		}
	})
}

// TestBudgetsGoByWhatTheyShould changes the parts of a key one by one.
func TestBudgetsGoByWhatTheyShould(t *testing.T) {
	places := [][5]string{ // plane, organization, environment, region, store
		{"us", "org", "env", "us-east-1", "store"},
		{"eu", "org", "env", "us-east-1", "store"},
		{"us", "other", "env", "us-east-1", "store"},
		{"us", "org", "other", "us-east-1", "store"},
		{"us", "org", "env", "us-west-2", "store"},
		{"us", "org", "env", "us-east-1", "other"},
	}
	all := make(map[string]string)
	for by, want := range map[string]int{ratelimit.BudgetByEgress: 1, ratelimit.BudgetByOrganization: 3, ratelimit.BudgetByStore: 6} {
		keys := make(map[string]bool)
		for _, p := range places {
			key := ratelimit.BudgetKey(by, p[0], p[1], p[2], p[3], p[4])
			keys[key] = true
			if other, ok := all[key]; ok && other != by {
				t.Errorf("budgets by %s and by %s share a key", by, other)
			}
			all[key] = by
		}
		if len(keys) != want {
			t.Errorf("by %s: %d budgets for 6 places, want %d", by, len(keys), want)
		}
	}
}
