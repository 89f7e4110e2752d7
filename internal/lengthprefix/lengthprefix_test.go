package lengthprefix_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"osgate/internal/lengthprefix"
)

// FuzzEqualDigestsMeanEqualParts for all ways to cut one text into parts.
func FuzzEqualDigestsMeanEqualParts(f *testing.F) {
	f.Add("ab|c", "a|bc")
	f.Add("a", "a|")
	f.Add("\x01a", "|a")
	f.Add(strings.Repeat("x", 127), strings.Repeat("x", 128))
	f.Fuzz(func(t *testing.T, one, other string) {
		a, b := strings.Split(one, "|"), strings.Split(other, "|")
		if equal := lengthprefix.Sum(a...) == lengthprefix.Sum(b...); equal != slices.Equal(a, b) {
			t.Errorf("equal digests: %t for %q and %q", equal, a, b)
		}
	})
}

// TestAPartIsPrecededByItsLength as an unsigned varint. Names in Redis are made of it,
// so another form would lose them during an upgrade.
func TestAPartIsPrecededByItsLength(t *testing.T) {
	long := strings.Repeat("x", 300)
	for part, want := range map[string]string{"": "\x00", "abc": "\x03abc", long: "\xac\x02" + long} {
		if got := lengthprefix.Append([]byte("before"), part); !bytes.Equal(got, []byte("before"+want)) {
			t.Errorf("Append(before, %.5q) = %.20q", part, got)
		}
	}
}
