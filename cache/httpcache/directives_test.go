package httpcache

import (
	"slices"
	"testing"
)

func TestListsAreCutOutsideOfQuotedStrings(t *testing.T) {
	for list, want := range map[string][]string{
		`a, b`:           {`a`, ` b`},
		`"a, b", c`:      {`"a, b"`, ` c`},
		`"ab", c`:        {`"ab"`, ` c`},
		`"a\", b", c`:    {`"a\", b"`, ` c`},
		`"a\\", b`:       {`"a\\"`, ` b`},
		`a\, b`:          {`a\`, ` b`}, // outside a quoted string a backslash is an ordinary character
		`a\", b`:         {`a\", b`},
		`x="1,2", y=3,z`: {`x="1,2"`, ` y=3`, `z`},
	} {
		var got []string
		for rest := list; rest != ""; {
			var item string
			item, rest = CutItem(rest)
			got = append(got, item)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s is cut into %q, want %q", list, got, want)
		}
	}
}

func TestQuotedStringsEnd(t *testing.T) {
	for list, want := range map[string]bool{
		``: true, `a`: true, `"a"`: true, `"ab"`: true, `"`: false, `"a`: false, `"a\"`: false, `"a\""`: true, `"a\\"`: true, `a\"b"`: true, `a\"`: false,
	} {
		if got := closed(list); got != want {
			t.Errorf("%s: closed is %t, want %t", list, got, want)
		}
	}
}
