package regionmap

import "testing"

// TestTheDistanceOfTwoNamesIsTheFewestEdits from one to the other, and back.
func TestTheDistanceOfTwoNamesIsTheFewestEdits(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"a", "a", 0}, {"a", "b", 1}, {"ab", "ba", 2}, {"abc", "abcd", 1}, {"abc", "xabc", 1},
		{"abc", "ac", 1}, {"kitten", "sitting", 3}, {"abc", "xyz", 3}, {"eu-west-1", "eu-west-2", 1}, {"aaaa", "a", 3}, {"abcdef", "f", 5},
	} {
		if there, back := distance(tt.a, tt.b), distance(tt.b, tt.a); there != tt.want || back != tt.want {
			t.Errorf("%q and %q: %d and %d, want %d", tt.a, tt.b, there, back, tt.want)
		}
	}
}
