package main

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// style is how a piece of text looks where there is color.
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

// sgr holds the escape sequences of the styles, those of ECMA-48 that every terminal has.
var sgr = [...]string{plain: "", bold: "\x1b[1m", title: "\x1b[1;4m", faint: "\x1b[2m", good: "\x1b[32m", warning: "\x1b[33m", bad: "\x1b[1;31m"}

const sgrEnd = "\x1b[0m"

// cell is a piece of text that may be printed as it is. Only say makes one of what others wrote.
type cell struct {
	text string
	style
}

// say returns a cell of text without anything that a terminal would obey: names are the words of clients.
func say(s style, format string, args ...any) cell {
	return cell{clean(fmt.Sprintf(format, args...)), s}
}

// clean puts a question mark in the place of every rune that is not one visible character: control characters, those that turn the direction of
// writing, marks on the character before, and bytes that are no UTF-8.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) || unicode.IsMark(r) {
			return '?'
		}
		return r
	}, text)
}

// breadth returns how many columns text takes, or more: terminals differ in what they show twice as wide, and a line must never be longer than it is
// taken for.
func breadth(text string) int {
	n := 0
	for _, r := range text {
		n += runeBreadth(r)
	}
	return n
}

func runeBreadth(r rune) int {
	if r < 0x1100 || r >= 0x2010 && r < 0x2028 { // what is before Hangul; dashes, quotation marks and the ellipsis
		return 1
	}
	return 2
}

// ellipsis stands for what was cut off.
const ellipsis = "…"

// cut returns text in at most so many columns.
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

// breadth returns how many columns l takes.
func (l line) breadth() int {
	n := 0
	for _, c := range l {
		n += breadth(c.text)
	}
	return n
}

// write appends l in at most width columns to b, with neither blanks nor a line feed at its end.
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

// column is what the cells of a column have in common.
type column struct {
	title string
	right bool // numbers
	least int  // it may be cut to so many columns; 0: it is shown whole
	spare int  // where it is narrow, the column with the largest goes first; 0: it stays
}

// table is a list with a title over each column.
type table struct {
	columns []column
	rows    [][]cell // of the length of columns
}

// gap is how many blanks are between two columns of a table.
const gap = 2

// lines returns the titles and the first rows in at most width columns, as far as that can be.
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

// put appends column i of a line to l. What fills a title up is not underlined.
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

// fit returns the width of each column, 0 for those that there is no room for.
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

// natural returns the widths at which nothing is cut, none above most; 0 for the columns that are gone.
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

// wanted returns in how many columns nothing is cut; no column counts for more than most.
func (t table) wanted(most int) int { return total(t.natural(most, make([]bool, len(t.columns)))) }

// shrink takes from the widest of the columns that may be cut until all fit, and reports whether they do.
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

// total returns how wide columns of these widths are with the gaps between them.
func total(widths []int) int {
	sum := -gap
	for _, w := range widths {
		if w > 0 {
			sum += w + gap
		}
	}
	return sum
}
