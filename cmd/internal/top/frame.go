package top

import (
	"strings"
	"time"

	"osgate/cmd/internal/table"
)

// view describes how an overview is drawn.
type view struct {
	width  int // columns
	height int // lines; 0: as many as needed
	color  bool
	source string // where the overview comes from
	choice choice // of clients and stores
	lost   string // why no newer overview could be read; empty: the overview is current
}

// unbounded is the number of lines for a frame without a height: more than an overview
// of maxOverviewBytes can fill.
const unbounded = maxOverviewBytes

// between is the number of columns between two lists side by side.
const between = 3

// block is one list, or two lists side by side.
type block struct {
	left, right table.Table // right has no rows if there is only one list
	least       int         // rows that the block gets before the blocks below it get any
}

// rows returns the number of rows of b.
func (b block) rows() int { return max(len(b.left.Rows), len(b.right.Rows)) }

// lines returns b with its first rows.
func (b block) lines(width, rows int) []table.Line {
	if len(b.right.Rows) == 0 {
		return b.left.Lines(width, rows)
	}
	if len(b.left.Rows) == 0 {
		return b.right.Lines(width, rows)
	}
	half := b.half(width)
	left := b.left.Lines(half, min(rows, len(b.left.Rows)))
	right := b.right.Lines(width-between-half, min(rows, len(b.right.Rows)))
	for len(left) < len(right) {
		left = append(left, nil)
	}
	for i, l := range right {
		left[i] = append(append(left[i], table.Blank(max(0, half-left[i].Breadth())+between)), l...)
	}
	return left
}

// half returns the width of the left list: half of the width, unless one list needs
// more and the other can spare it.
func (b block) half(width int) int {
	width -= between
	half, left, right := width/2, b.left.Wanted(width), b.right.Wanted(width)
	if left > half {
		return max(half, min(left, width-right))
	}
	return min(half, max(left, width-right))
}

// frame returns o as lines of at most v.width columns, separated by line feeds. Without
// color it contains no other control character.
func frame(o overview, v view) string {
	lines := []table.Line{headline(o, v), verdict(o, v)}
	blocks := blocksOf(o, v)
	if v.choice.client != "" {
		blocks = clientBlocks(o, v)
	}
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

// paint writes the lines. If the overview is not current, all lines are faint except
// the second, which states that.
func paint(lines []table.Line, v view) string {
	var b strings.Builder
	for i, l := range lines {
		if i > 0 {
			b.WriteByte('\n')
		}
		if v.lost != "" && i != 1 {
			l = append(table.Line(nil), l...)
			for at := range l {
				l[at].Style = table.Faint
			}
		}
		l.Write(&b, v.width, v.color)
	}
	return b.String()
}

// share returns the number of rows for each block within height lines, -1 for a block
// that is not shown. First each block in turn gets its title and its least rows, then
// each in turn one row more.
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

// airy reports whether height lines leave room for an empty line above each block.
func airy(shown []int, height int) bool {
	for _, rows := range shown {
		if rows >= 0 {
			height -= rows + 2
		}
	}
	return height >= 0
}

// headline names the gateway and the time of the overview.
func headline(o overview, v view) table.Line {
	l := table.Line{
		table.Styled(table.Bold, "osgate"), table.Styled(table.Plain, " %s  ", o.Version), table.Text(clock(o.Time)),
	}
	if up := o.Time.Sub(o.Start); up > 0 {
		l = append(l, table.Styled(table.Plain, "  up %s", age(up)))
	}
	if name := o.Replica.Host; name != "" {
		l = append(l, table.Styled(table.Plain, "  %s", name))
	}
	if text := v.choice.String(); text != "" {
		l = append(l, table.Styled(table.Bold, "  %s", text))
	}
	return append(l, table.Styled(table.Faint, "  %s", v.source))
}

// verdict returns the state of the gateway in one line.
func verdict(o overview, v view) table.Line {
	if v.lost != "" {
		return table.Line{table.Styled(table.Bad, "%s", v.lost)}
	}
	state := string(o.Health.Status)
	return table.Line{
		table.Styled(stateStyle(state), "%s", strings.ToUpper(state)),
		table.Styled(table.Plain, "  %s", o.Health.Summary),
	}
}

// stateStyle returns the style of a state of a part, of its breaker or of the gateway.
func stateStyle(state string) table.Style {
	switch state {
	case "ok", "ready", "closed":
		return table.Good
	case "idle":
		return table.Faint
	case "down", "open":
		return table.Bad
	}
	return table.Warning
}

// clock returns the time of day of t.
func clock(t time.Time) string { return t.UTC().Format("15:04:05 UTC") }
