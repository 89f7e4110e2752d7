package report

import (
	"fmt"
	"html"
	"io"
	"strings"
)

// WriteChart writes the rates of the closed loops as bars in SVG, with the processor
// time of a request, a group for each scenario and number of connections. It has the
// colors of the reader's light or dark mode.
func (r *Run) WriteChart(w io.Writer) {
	const width, left, bar, gap, top = 820, 250, 18, 26, 16
	rows := r.Rows()
	y, group, most := top, "", map[string]float64{}
	for _, row := range rows {
		most[row.group()] = max(most[row.group()], row.Rate)
	}
	var body strings.Builder
	for _, row := range rows {
		if row.Scenario.Open {
			continue
		}
		if row.group() != group {
			group = row.group()
			y += gap
			fmt.Fprintf(&body, `<text class="head" x="8" y="%d">%s</text>`+"\n", y, html.EscapeString(group))
			y += 8
		}
		class := "peer"
		if isGateway(row.Subject) {
			class = "osgate"
		}
		length := int(row.Rate / most[group] * (width - left - 130))
		fmt.Fprintf(&body, `<text x="%d" y="%d" text-anchor="end">%s</text>`,
			left-8, y+bar-5, html.EscapeString(row.Subject))
		fmt.Fprintf(&body, `<rect class="%s" x="%d" y="%d" width="%d" height="%d" rx="2"/>`,
			class, left, y, max(length, 1), bar-4)
		fmt.Fprintf(&body, `<text x="%d" y="%d">%.0f/s, %.1f µs</text>`+"\n",
			left+length+6, y+bar-5, row.Rate, row.CPU)
		y += bar
	}
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">
<title>Requests a second, and processor time of a request, of osgate and its peers</title>
<style>
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.head { font-weight: 600 }
.osgate { fill: #0969da }
.peer { fill: #8c959f }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .osgate { fill: #4493f8 }
  .peer { fill: #6e7681 }
}
</style>
%s</svg>
`, width, y+top, width, y+top, body.String())
}

// group is the heading of the bars that are drawn to one scale.
func (row Row) group() string {
	return fmt.Sprintf("%s, %d connections", row.Scenario.Title, row.Connections)
}
