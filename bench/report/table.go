package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// columns are the heads of the table.
func columns() []string {
	return []string{
		"scenario", "conns", "subject", "requests/s", "ratio", "p50 ms", "p99 ms", "CPU µs", "lowest",
		"CPU ratio", "Redis CPU µs", "Redis commands", "allocations", "peak MB", "origin %",
	}
}

// cells returns a row as texts, in the order of columns. A figure that does not exist
// is "".
func (row Row) cells() []string {
	connections := fmt.Sprint(row.Connections)
	if row.Scenario.Open {
		connections = "open"
	}
	return []string{
		row.Scenario.Name, connections, row.Subject, fmt.Sprintf("%.0f", row.Rate), row.ratio(),
		fmt.Sprintf("%.2f", row.P50/1e3), fmt.Sprintf("%.2f", row.P99/1e3), positive("%.1f", row.CPU),
		positive("%.1f", row.LowestCPU), row.cpuRatio(), positive("%.1f", row.RedisCPU), commands(row.Commands),
		positive("%.0f", row.Mallocs),
		positive("%.0f", float64(row.Peak)/1e6), fmt.Sprintf("%.0f", row.Reads*100),
	}
}

// ratio returns the ratios of the row's rate, or in an open loop the latency that it
// adds.
func (row Row) ratio() string {
	if row.Scenario.Open {
		if row.AddedP50 == 0 && row.AddedP99 == 0 {
			return ""
		}
		return fmt.Sprintf("p50 %+.2f ms, p99 %+.2f ms", row.AddedP50/1e3, row.AddedP99/1e3)
	}
	return row.against(row.Ratios)
}

// cpuRatio returns the ratios of the row's processor time.
func (row Row) cpuRatio() string {
	if row.Scenario.Open {
		return ""
	}
	return row.against(row.CPURatios)
}

// against names the references of ratios.
func (row Row) against(ratios []float64) string {
	var texts []string
	for i, ratio := range ratios {
		if ratio > 0 {
			texts = append(texts, fmt.Sprintf("%.2f × %s", ratio, row.Scenario.References[i]))
		}
	}
	return strings.Join(texts, "; ")
}

// positive formats a figure that is not 0.
func positive(format string, figure float64) string {
	if figure <= 0 {
		return ""
	}
	return fmt.Sprintf(format, figure)
}

// commands returns how many of Redis's commands a request costs, the most frequent
// first.
func commands(all map[string]Command) string {
	names := slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		if all[a].Calls != all[b].Calls {
			if all[a].Calls > all[b].Calls {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	var texts []string
	for _, name := range names {
		if all[name].Calls >= 0.05 {
			texts = append(texts, fmt.Sprintf("%s %.1f", name, all[name].Calls))
		}
	}
	return strings.Join(texts, ", ")
}

// Heading describes the run: when, where, with which versions and command.
func (r *Run) Heading() []string {
	var versions []string
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		versions = append(versions, name+" "+r.Versions[name])
	}
	lines := []string{
		"Measured on " + r.Started.UTC().Format("2006-01-02 15:04 UTC") + ", " + r.Machine + ".",
		"Load average at the start and at the end: " + r.Load + ".",
		"Versions: " + strings.Join(versions, ", ") + ".",
		"Command: `" + r.Command + "`.",
		fmt.Sprintf("Medians of %d interleaved rounds of %d s; a ratio is the median of the ratios within a round.",
			r.Rounds, r.Seconds),
	}
	var trips []float64
	for _, sample := range r.Samples {
		if sample.RedisTrip > 0 {
			trips = append(trips, sample.RedisTrip)
		}
	}
	if len(trips) > 0 {
		const text = "A PING through the delay of the rows `…-far` took %.2f ms."
		lines = append(lines, fmt.Sprintf(text, Median(trips)/1e3))
	}
	return lines
}

// Problems names the rows with a sample that does not have the kind of its scenario.
func (r *Run) Problems() []string {
	var all []string
	for _, row := range r.Rows() {
		for _, problem := range row.Problems {
			all = append(all, fmt.Sprintf("%s, %s, %d connections: %s",
				row.Scenario.Name, row.Subject, row.Connections, problem))
		}
	}
	return all
}

// WriteMarkdown writes the run as a heading and a table in Markdown.
func (r *Run) WriteMarkdown(w io.Writer) {
	for _, line := range r.Heading() {
		fmt.Fprintf(w, "- %s\n", line)
	}
	fmt.Fprintf(w, "\n| %s |\n|%s\n", strings.Join(columns(), " | "), strings.Repeat(" --- |", len(columns())))
	for _, row := range r.Rows() {
		fmt.Fprintf(w, "| %s |\n", strings.Join(row.cells(), " | "))
	}
	for _, problem := range r.Problems() {
		fmt.Fprintf(w, "\n**Not valid**: %s\n", problem)
	}
}

// WriteText writes the run as a heading and a table for a terminal.
func (r *Run) WriteText(w io.Writer) {
	for _, line := range r.Heading() {
		fmt.Fprintln(w, line)
	}
	fmt.Fprintln(w)
	lines, left := [][]string{columns()}, map[int]bool{0: true, 2: true, 4: true, 9: true, 11: true} // columns of words
	for _, row := range r.Rows() {
		lines = append(lines, row.cells())
	}
	for _, cells := range lines {
		for i, cell := range cells {
			width := 0
			for _, other := range lines {
				width = max(width, len([]rune(other[i])))
			}
			pad := strings.Repeat(" ", width-len([]rune(cell)))
			if left[i] {
				fmt.Fprint(w, cell, pad, "  ")
			} else {
				fmt.Fprint(w, pad, cell, "  ")
			}
		}
		fmt.Fprintln(w)
	}
	for _, problem := range r.Problems() {
		fmt.Fprintf(w, "NOT VALID: %s\n", problem)
	}
}
