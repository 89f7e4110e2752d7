package httpcache

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestIsOwnETagRecognizesOurValidators(t *testing.T) {
	ours := OwnETag("application/json", []byte("v"))
	for tag, want := range map[string]bool{
		ours: true, " " + ours + "\t": true,
		strings.TrimPrefix(ours, "W/"): false, // a strong tag is not ours
		"":                             false,
		"*":                            false,
		`W/"osg-"`:                     false,
		`W/"osg-short"`:                false,
		ours[:len(ours)-1]:             false,
		ours[:len(ours)-2] + `!"`:      false,
		ours + ours:                    false,
		`"upstream"`:                   false,
	} {
		if got := IsOwnETag(tag); got != want {
			t.Errorf("IsOwnETag(%s) = %t, want %t", tag, got, want)
		}
	}
}

func TestStripOwnETagsLeavesUpstreamsValidators(t *testing.T) {
	a, b := OwnETag("", []byte("a")), OwnETag("", []byte("b"))
	for _, tt := range []struct{ lines, want []string }{
		{nil, nil},
		{[]string{a}, nil},
		{[]string{a + ", " + b}, nil},
		{[]string{a, `"x"`}, []string{`"x"`}},
		{[]string{`"x",` + a + ` , W/"y"`}, []string{`"x", W/"y"`}},
		{[]string{`  "x" ,, "y"`}, []string{`  "x" ,, "y"`}}, // without our tags: the bytes received
	} {
		if diff := cmp.Diff(tt.want, StripOwnETags(tt.lines)); diff != "" {
			t.Errorf("StripOwnETags(%q) (-want +got):\n%s", tt.lines, diff)
		}
	}
}

func FuzzStripOwnETagsLeavesNoneOfOurs(f *testing.F) {
	ours := OwnETag("", nil)
	f.Add(ours)
	f.Add(`"a", ` + ours + `, "b"`)
	f.Add(`"a,` + ours + `"`)
	f.Fuzz(func(t *testing.T, line string) {
		rest := StripOwnETags([]string{line})
		for _, l := range rest {
			if slices.ContainsFunc(slices.Collect(entityTags([]string{l})), IsOwnETag) {
				t.Errorf("StripOwnETags(%q) left %q", line, rest)
			}
		}
		if again := StripOwnETags(rest); !slices.Equal(again, rest) {
			t.Errorf("StripOwnETags(%q) is %q, and again %q", line, rest, again)
		}
	})
}
