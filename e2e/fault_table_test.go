package e2e

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// faultRow is the result of one row of the matrix.
type faultRow struct {
	faultCase
	before, during, after  []requestResult
	recovered, ready, hits time.Duration // since the end of the fault
	lost                   losses        // during the gateway's life
	drained                time.Duration // from SIGTERM to the end of the process
	code                   int           // of its exit
	reported, lostAtEnd    int           // operations: the losses that the log reports, and those that were not counted
}

// faultTable holds the results of rows. It is safe for concurrent use.
type faultTable struct {
	mu   sync.Mutex
	rows []*faultRow // guarded by mu
}

func (t *faultTable) add(r *faultRow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = append(t.rows, r)
}

// print writes the table in Markdown, in the form of docs/faults.md.
func (t *faultTable) print(w io.Writer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if *faultsFlag == 0 || len(t.rows) == 0 {
		return
	}
	slices.SortFunc(t.rows, func(a, b *faultRow) int { return strings.Compare(a.name(), b.name()) })
	fmt.Fprint(w, "\n| dependency | fault | storage | before | while it lasts | after | longest wait | recovery: clients, ready, hits | lost | SIGTERM |\n"+
		"| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, r := range t.rows {
		fmt.Fprintf(w, "| %s | %s | %s | %s |\n", r.dependency, r.fault, r.storage, strings.Join(r.cells(), " | "))
	}
}

func (r *faultRow) name() string { return r.dependency + "/" + r.fault + "/" + r.storage }

// String returns the row as a line of a log.
func (r *faultRow) String() string {
	return r.name() + ": " + strings.Join(r.cells(), "; ")
}

func (r *faultRow) cells() []string {
	ready := durationText(r.ready)
	if r.staysDegraded {
		ready = "-"
	}
	end := fmt.Sprintf("%s, exit %d", durationText(r.drained), r.code)
	if r.reported > 0 || r.lostAtEnd > 0 {
		end += fmt.Sprintf(", %d counts lost, at most %d reported", r.lostAtEnd, r.reported)
	}
	return []string{
		countByStatus(r.before), countByStatus(r.during), countByStatus(r.after), r.longestWait(),
		strings.Join([]string{durationText(r.recovered), ready, durationText(r.hits)}, ", "), r.lost.String(), end,
	}
}

// countByStatus returns the number of responses by status: all 2xx together, others by
// kind of request.
func countByStatus(visits []requestResult) string {
	good, others := 0, map[string]int{}
	for _, v := range visits {
		what := fmt.Sprint(v.kind, " ", v.status)
		switch {
		case v.succeeded():
			good++
			continue
		case v.status == 0:
			what = v.kind + " no answer"
		}
		others[what]++
	}
	parts := []string{fmt.Sprintf("2xx × %d", good)}
	for _, what := range slices.Sorted(maps.Keys(others)) {
		parts = append(parts, fmt.Sprintf("%s × %d", what, others[what]))
	}
	return strings.Join(parts, ", ")
}

// longestWait returns the longest wait for a response, with its request.
func (r *faultRow) longestWait() string {
	v := slices.MaxFunc(slices.Concat(r.before, r.during, r.after), func(a, b requestResult) int { return int(a.took - b.took) })
	return fmt.Sprintf("%s (%s %d)", durationText(v.took), v.kind, v.status)
}

// durationText returns a duration in the form of the table.
func durationText(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// losses are the counters of losses of a gateway, by name.
type losses map[string]int

// lossMetrics are the metrics of losses, by their names in the table.
var lossMetrics = map[string]string{
	"osgate_stats_losses_total": "counts", "osgate_log_lost_total": "log lines",
	"osgate_telemetry_dropped_total": "of telemetry", "osgate_telemetry_failures_total": "exports failed",
}

// losses reads the metrics.
func (r *faultRun) losses() losses {
	r.Helper()
	l := losses{}
	for line := range strings.Lines(client{t: r, base: r.gateway.admin}.get("/metrics").is(http.StatusOK).body) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		name, _, _ = strings.Cut(name, "{")
		what, ok := lossMetrics[name]
		var n float64
		if _, err := fmt.Sscan(value[strings.LastIndexByte(value, ' ')+1:], &n); ok && err == nil {
			l[what] += int(n)
		}
	}
	return l
}

// since returns the losses since an earlier reading.
func (l losses) since(before losses) losses {
	grown := losses{}
	for what, n := range l {
		grown[what] = n - before[what]
	}
	return grown
}

// String returns the losses in the form of the table.
func (l losses) String() string {
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(l)) {
		if l[what] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", l[what], what))
		}
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}
