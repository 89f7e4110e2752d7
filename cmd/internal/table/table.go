// Package table lays out texts in columns for terminals and pipes.
//
// The idea a reader needs: a text becomes a [Cell] only without control characters, so
// that names chosen by clients cannot control the terminal of an operator.
package table

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"
)

// Style is the style of a text on a screen with color.
type Style uint8

// The styles.
const (
	Plain Style = iota
	Bold
	Faint
	Good
	Warning
	Bad
	title
)

// Escape returns the escape sequence that begins the style: one of ECMA-48 that every
// terminal supports. It is empty for [Plain].
func (s Style) Escape() string {
	return [...]string{
		Plain: "", Bold: "\x1b[1m", Faint: "\x1b[2m",
		Good: "\x1b[32m", Warning: "\x1b[33m", Bad: "\x1b[1;31m",
		title: "\x1b[1;4m",
	}[s]
}

const escapeEnd = "\x1b[0m"

// Cell is a text that can be printed unchanged. [Text], [Styled] and [Blank] make it.
type Cell struct {
	text  string
	Style Style
}

// Text returns a plain cell of text without control characters.
func Text(text string) Cell { return Cell{text: clean(text)} }

// Styled returns a cell of a formatted text without control characters.
func Styled(s Style, format string, args ...any) Cell {
	return Cell{clean(fmt.Sprintf(format, args...)), s}
}

// Blank returns a plain cell of so many blanks; none if columns is not positive.
func Blank(columns int) Cell { return Cell{text: strings.Repeat(" ", max(0, columns))} }

// clean replaces with a question mark every rune that is not one visible character:
// control characters, runes that change the direction of writing, combining marks, and
// bytes that are not UTF-8.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) || unicode.IsMark(r) {
			return '?'
		}
		return r
	}, text)
}

// breadth returns the number of columns of text, or more: terminals differ in the
// characters that they show twice as wide, and a line must never be longer than
// computed.
func breadth(text string) int {
	n := 0
	for _, r := range text {
		n += runeBreadth(r)
	}
	return n
}

func runeBreadth(r rune) int {
	// The characters before Hangul; dashes, quotation marks and the ellipsis.
	if r < 0x1100 || r >= 0x2010 && r < 0x2028 {
		return 1
	}
	return 2
}

// ellipsis replaces text that was cut off.
const ellipsis = "…"

// cut returns text cut to at most so many columns.
func cut(text string, columns int) string {
	if breadth(text) <= columns {
		return text
	}
	if columns < 1 {
		return ""
	}
	used := 1 // the ellipsis
	for i, r := range text {
		if used += runeBreadth(r); used > columns {
			return text[:i] + ellipsis
		}
	}
	return text
}

// Line is a line of the screen, from left to right.
type Line []Cell

// Breadth returns the number of columns of l.
func (l Line) Breadth() int {
	n := 0
	for _, c := range l {
		n += breadth(c.text)
	}
	return n
}

// Write appends l to b in at most width columns, without trailing blanks or a line
// feed. Without color it writes no escape sequences.
func (l Line) Write(b *strings.Builder, width int, color bool) {
	texts, last := make([]string, len(l)), -1
	for i, c := range l {
		texts[i] = cut(c.text, width)
		if width -= breadth(texts[i]); strings.TrimRight(texts[i], " ") != "" {
			last = i
		}
	}
	for i, text := range texts[:last+1] {
		if i == last {
			text = strings.TrimRight(text, " ")
		}
		if code := l[i].Style.Escape(); color && code != "" && strings.TrimRight(text, " ") != "" {
			text = code + text + escapeEnd
		}
		b.WriteString(text)
	}
}

// Column holds the title and the layout of a column.
type Column struct {
	Title string
	Right bool // aligned right, for numbers
	Least int  // the width in columns to which it may be cut; 0: it is never cut
	Spare int  // on a narrow screen the column with the largest value is dropped first; 0: never dropped
}

// Table is a list with a title over each column.
type Table struct {
	Columns []Column
	Rows    [][]Cell // each row has as many cells as there are columns
}

// gap is the number of blanks between two columns of a table.
const gap = 2

// Add adds a row.
func (t *Table) Add(row ...Cell) { t.Rows = append(t.Rows, row) }

// String returns the whole table as plain text, without a line feed at its end.
func (t Table) String() string {
	var b strings.Builder
	for i, l := range t.Lines(math.MaxInt32, len(t.Rows)) {
		if i > 0 {
			b.WriteByte('\n')
		}
		l.Write(&b, math.MaxInt32, false)
	}
	return b.String()
}

// Lines returns the titles and the first rows in at most width columns, if possible.
func (t Table) Lines(width, rows int) []Line {
	if rows < len(t.Rows) {
		t.Columns = append([]Column(nil), t.Columns...)
		named := max(0, slices.IndexFunc(t.Columns, func(c Column) bool { return c.Least > 0 }))
		t.Columns[named].Title += fmt.Sprintf(" (%d of %d)", rows, len(t.Rows))
	}
	widths := t.fit(width)
	lines := make([]Line, 0, rows+1)
	var head Line
	for i, c := range t.Columns {
		head = t.put(head, i, widths, Cell{c.Title, title})
	}
	lines = append(lines, head)
	for _, row := range t.Rows[:min(rows, len(t.Rows))] {
		var l Line
		for i, c := range row {
			l = t.put(l, i, widths, c)
		}
		lines = append(lines, l)
	}
	return lines
}

// put appends column i of a line to l. The padding of a title is not underlined.
func (t Table) put(l Line, i int, widths []int, c Cell) Line {
	if widths[i] == 0 {
		return l
	}
	if len(l) > 0 {
		l = append(l, Blank(gap))
	}
	text := cut(c.text, widths[i])
	blank := Blank(widths[i] - breadth(text))
	if t.Columns[i].Right {
		return append(l, blank, Cell{text, c.Style})
	}
	return append(l, Cell{text, c.Style}, blank)
}

// fit returns the width of each column, 0 for columns that do not fit.
func (t Table) fit(width int) []int {
	gone := make([]bool, len(t.Columns))
	for {
		widths := t.natural(width, gone)
		if t.shrink(widths, width) {
			return widths
		}
		next := -1
		for i, c := range t.Columns {
			if !gone[i] && c.Spare > 0 && (next < 0 || c.Spare > t.Columns[next].Spare) {
				next = i
			}
		}
		if next < 0 {
			return widths
		}
		gone[next] = true
	}
}

// natural returns the widths at which no text is cut, each at most most; 0 for dropped
// columns.
func (t Table) natural(most int, gone []bool) []int {
	widths := make([]int, len(t.Columns))
	for i, c := range t.Columns {
		if gone[i] {
			continue
		}
		widths[i] = breadth(c.Title)
		for _, row := range t.Rows {
			widths[i] = max(widths[i], breadth(row[i].text))
		}
		widths[i] = max(1, min(widths[i], most))
	}
	return widths
}

// Wanted returns the width at which no text is cut, counting each column as most at
// most.
func (t Table) Wanted(most int) int { return total(t.natural(most, make([]bool, len(t.Columns)))) }

// shrink narrows the widest of the columns that may be cut until all fit, and reports
// whether they do.
func (t Table) shrink(widths []int, width int) bool {
	for total(widths) > width {
		widest := -1
		for i, c := range t.Columns {
			if c.Least > 0 && widths[i] > c.Least && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return false
		}
		widths[widest]--
	}
	return true
}

// total returns the width of columns of these widths with the gaps between them.
func total(widths []int) int {
	sum := -gap
	for _, w := range widths {
		if w > 0 {
			sum += w + gap
		}
	}
	return sum
}
