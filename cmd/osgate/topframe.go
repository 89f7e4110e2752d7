package main

import (
	"strings"
	"time"
)

// view is how an overview is looked at.
type view struct {
	width  int // columns
	height int // lines; 0: as many as there are
	color  bool
	source string // where the overview is from
	lost   string // what is wrong since it was read; empty: it is of now
}

// unbounded is the room that a frame has without a height: more than an overview of maxOverviewBytes can fill.
const unbounded = maxOverviewBytes

// between is how many columns are between two lists side by side.
const between = 3

// block is one list, or two side by side.
type block struct {
	left, right table // right has no rows where there is only one
	least       int   // rows that it gets before those below it get any
}

// rows returns how many rows b has.
func (b block) rows() int { return max(len(b.left.rows), len(b.right.rows)) }

// lines returns b with its first rows.
func (b block) lines(width, rows int) []line {
	if len(b.right.rows) == 0 {
		return b.left.lines(width, rows)
	}
	if len(b.left.rows) == 0 {
		return b.right.lines(width, rows)
	}
	half := b.half(width)
	left, right := b.left.lines(half, min(rows, len(b.left.rows))), b.right.lines(width-between-half, min(rows, len(b.right.rows)))
	for len(left) < len(right) {
		left = append(left, nil)
	}
	for i, l := range right {
		blank := strings.Repeat(" ", max(0, half-left[i].breadth())+between)
		left[i] = append(append(left[i], cell{text: blank}), l...)
	}
	return left
}

// half returns the width of the left list: half of all, unless one of the two needs more than that and the other can spare it.
func (b block) half(width int) int {
	width -= between
	half, left, right := width/2, b.left.wanted(width), b.right.wanted(width)
	if left > half {
		return max(half, min(left, width-right))
	}
	return min(half, max(left, width-right))
}

// frame returns o as lines of at most v.width columns, each with a line feed but the last. Without color it holds no control character else.
func frame(o overview, v view) string {
	lines := []line{headline(o, v), verdict(o, v)}
	blocks := blocksOf(o, v.width)
	room := v.height - len(lines)
	if v.height == 0 {
		room = unbounded
	}
	shown := share(blocks, room)
	apart := airy(shown, room)
	for i, b := range blocks {
		if shown[i] < 0 {
			continue
		}
		if apart {
			lines = append(lines, nil)
		}
		lines = append(lines, b.lines(v.width, shown[i])...)
	}
	if v.height > 0 {
		lines = lines[:min(len(lines), v.height)]
	}
	return paint(lines, v)
}

// paint writes lines down. What is no longer so is faint, but for the second line, which says so.
func paint(lines []line, v view) string {
	var b strings.Builder
	for i, l := range lines {
		if i > 0 {
			b.WriteByte('\n')
		}
		if v.lost != "" && i != 1 {
			l = append(line(nil), l...)
			for at := range l {
				l[at].style = faint
			}
		}
		l.write(&b, v.width, v.color)
	}
	return b.String()
}

// share returns how many rows each block gets of height lines, -1 for one that gets no line at all: first its title and the least to each in turn, then
// one more to each in turn.
func share(blocks []block, height int) []int {
	shown := make([]int, len(blocks))
	for i, b := range blocks {
		shown[i] = min(b.least, b.rows())
		if need := 1 + shown[i]; need <= height {
			height -= need
			continue
		}
		if shown[i] = height - 1; shown[i] < 1 {
			shown[i] = -1
			continue
		}
		height = 0
	}
	for given := true; given && height > 0; {
		given = false
		for i, b := range blocks {
			if shown[i] >= 0 && shown[i] < b.rows() && height > 0 {
				shown[i]++
				height--
				given = true
			}
		}
	}
	return shown
}

// airy reports whether height lines leave room for an empty one above each block.
func airy(shown []int, height int) bool {
	for _, rows := range shown {
		if rows >= 0 {
			height -= rows + 2
		}
	}
	return height >= 0
}

// headline says what is shown, and of when.
func headline(o overview, v view) line {
	l := line{say(bold, "osgate"), say(plain, " %s  ", o.Version), say(plain, "%s", clock(o.Time))}
	if up := o.Time.Sub(o.Start); up > 0 {
		l = append(l, say(plain, "  up %s", age(up)))
	}
	return append(l, say(faint, "  %s", v.source))
}

// verdict says in one line how the gateway fares.
func verdict(o overview, v view) line {
	if v.lost != "" {
		return line{say(bad, "%s", v.lost)}
	}
	return line{say(stateStyle(o.Health.Status), "%s", strings.ToUpper(o.Health.Status)), say(plain, "  %s", o.Health.Summary)}
}

// stateStyle returns how a state of a part, of its breaker or of the whole looks.
func stateStyle(state string) style {
	switch state {
	case "ok", "ready", "closed":
		return good
	case "idle":
		return faint
	case "down", "open":
		return bad
	}
	return warning
}

// clock returns the time of day of t.
func clock(t time.Time) string { return t.UTC().Format("15:04:05 UTC") }
