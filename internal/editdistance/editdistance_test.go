package editdistance_test

import (
	"testing"

	"osgate/internal/editdistance"
)

// TestTheDistanceIsTheLeastNumberOfEdits, in both directions.
func TestTheDistanceIsTheLeastNumberOfEdits(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"abc", "abc", 0},
		{"", "abc", 3},
		{"abc", "axc", 1},
		{"abc", "ac", 1},
		{"abc", "abcd", 1},
		{"kitten", "sitting", 3},
		{"ab", "ba", 2},
		{"flaw", "lawn", 2},
		{"abc", "xyz", 3},
		{"abcdef", "f", 5},
		{"eu-west-1", "eu-west-2", 1},
		{"OSGATE_LISTN", "OSGATE_LISTEN", 1},
	} {
		for _, pair := range [][2]string{{c.a, c.b}, {c.b, c.a}} {
			if got := editdistance.Of(pair[0], pair[1]); got != c.want {
				t.Errorf("Of(%q, %q) = %d, want %d", pair[0], pair[1], got, c.want)
			}
		}
	}
}
