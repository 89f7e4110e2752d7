package main

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// style is the style of a text on a screen with color.
type style uint8

const (
	plain style = iota
	bold
	title
	faint
	good
	warning
	bad
)

// sgr holds the escape sequences of the styles: those of ECMA-48 that every terminal
// supports.
var sgr = [...]string{plain: "", bold: "\x1b[1m", title: "\x1b[1;4m", faint: "\x1b[2m", good: "\x1b[32m", warning: "\x1b[33m", bad: "\x1b[1;31m"}

const sgrEnd = "\x1b[0m"

// cell is a text that can be printed unchanged. Text from others becomes a cell only
// through say.
type cell struct {
	text string
	style
}

// say returns a cell of text without control characters, because names come from
// clients.
func say(s style, format string, args ...any) cell {
	return cell{clean(fmt.Sprintf(format, args...)), s}
}

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

// line is a line of the screen, from left to right.
type line []cell

// breadth returns the number of columns of l.
func (l line) breadth() int {
	n := 0
	for _, c := range l {
		n += breadth(c.text)
	}
	return n
}

// write appends l to b in at most width columns, without trailing blanks or a line
// feed.
func (l line) write(b *strings.Builder, width int, color bool) {
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
		if code := sgr[l[i].style]; color && code != "" && strings.TrimRight(text, " ") != "" {
			text = code + text + sgrEnd
		}
		b.WriteString(text)
	}
}

// column holds the title and the layout of a column.
type column struct {
	title string
	right bool // aligned right, for numbers
	least int  // the width in columns to which it may be cut; 0: it is never cut
	spare int  // on a narrow screen the column with the largest value is dropped first; 0: never dropped
}

// table is a list with a title over each column.
type table struct {
	columns []column
	rows    [][]cell // each row has as many cells as there are columns
}

// gap is the number of blanks between two columns of a table.
const gap = 2

// lines returns the titles and the first rows in at most width columns, if possible.
func (t table) lines(width, rows int) []line {
	if rows < len(t.rows) {
		t.columns = append([]column(nil), t.columns...)
		named := max(0, slices.IndexFunc(t.columns, func(c column) bool { return c.least > 0 }))
		t.columns[named].title += fmt.Sprintf(" (%d of %d)", rows, len(t.rows))
	}
	widths := t.fit(width)
	lines := make([]line, 0, rows+1)
	var head line
	for i, c := range t.columns {
		head = t.put(head, i, widths, cell{c.title, title})
	}
	lines = append(lines, head)
	for _, row := range t.rows[:min(rows, len(t.rows))] {
		var l line
		for i, c := range row {
			l = t.put(l, i, widths, c)
		}
		lines = append(lines, l)
	}
	return lines
}

// put appends column i of a line to l. The padding of a title is not underlined.
func (t table) put(l line, i int, widths []int, c cell) line {
	if widths[i] == 0 {
		return l
	}
	if len(l) > 0 {
		l = append(l, cell{text: strings.Repeat(" ", gap)})
	}
	text := cut(c.text, widths[i])
	blank := cell{text: strings.Repeat(" ", widths[i]-breadth(text))}
	if t.columns[i].right {
		return append(l, blank, cell{text, c.style})
	}
	return append(l, cell{text, c.style}, blank)
}

// fit returns the width of each column, 0 for columns that do not fit.
func (t table) fit(width int) []int {
	gone := make([]bool, len(t.columns))
	for {
		widths := t.natural(width, gone)
		if t.shrink(widths, width) {
			return widths
		}
		next := -1
		for i, c := range t.columns {
			if !gone[i] && c.spare > 0 && (next < 0 || c.spare > t.columns[next].spare) {
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
func (t table) natural(most int, gone []bool) []int {
	widths := make([]int, len(t.columns))
	for i, c := range t.columns {
		if gone[i] {
			continue
		}
		widths[i] = breadth(c.title)
		for _, row := range t.rows {
			widths[i] = max(widths[i], breadth(row[i].text))
		}
		widths[i] = max(1, min(widths[i], most))
	}
	return widths
}

// wanted returns the width at which no text is cut, counting each column as most at
// most.
func (t table) wanted(most int) int { return total(t.natural(most, make([]bool, len(t.columns)))) }

// shrink narrows the widest of the columns that may be cut until all fit, and reports
// whether they do.
func (t table) shrink(widths []int, width int) bool {
	for total(widths) > width {
		widest := -1
		for i, c := range t.columns {
			if c.least > 0 && widths[i] > c.least && (widest < 0 || widths[i] > widths[widest]) {
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
