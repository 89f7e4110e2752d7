package table_test

import (
	"strings"
	"testing"

	"osgate/cmd/internal/table"
)

func TestATableIsAlignedAndContainsNoControlCharacter(t *testing.T) {
	list := table.Table{Columns: []table.Column{{Title: "NAME"}, {Title: "N", Right: true}, {Title: "LAST"}}}
	list.Add(table.Text("a\x1b[2Jb"), table.Text("7"), table.Text(""))
	list.Add(table.Text("日本"), table.Styled(table.Bad, "%d", 1234), table.Text("x"))
	want := "NAME       N  LAST\n" +
		"a?[2Jb     7\n" +
		"日本    1234  x"
	if got := list.String(); got != want {
		t.Errorf("a table is\n%s\nwant\n%s", got, want)
	}
}

func TestAStyleIsWrittenOnlyWithColor(t *testing.T) {
	for color, want := range map[bool]string{true: table.Bad.Escape() + "down\x1b[0m", false: "down"} {
		var b strings.Builder
		table.Line{table.Styled(table.Bad, "down"), table.Blank(2)}.Write(&b, 80, color)
		if b.String() != want {
			t.Errorf("color %v: %q, want %q", color, b.String(), want)
		}
	}
}
