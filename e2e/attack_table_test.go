package e2e

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// attackRow is the result of one attack: its requests, and the responses to the good
// clients.
type attackRow struct {
	attack           string
	connections      int64
	sent             int64 // bytes
	baseline, during *observations
	memory           memoryUse
}

// attackTable is the rows of all finished attacks. It is safe for concurrent use.
type attackTable struct {
	mu   sync.Mutex
	rows []attackRow // guarded by mu
}

func (t *attackTable) add(r attackRow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = append(t.rows, r)
}

// String returns the row as a line of a log.
func (r attackRow) String() string {
	return fmt.Sprintf("%s: %d connections, %s sent; good clients received %s, p99 %v (%v without the attack); memory %s before, %s at most, %s after",
		r.attack, r.connections, bytesText(r.sent), r.during.statuses(), r.during.p99(), r.baseline.p99(),
		mebibytes(r.memory.before), mebibytes(r.memory.peak), mebibytes(r.memory.after))
}

// print writes the table in Markdown, as docs/attacks.md contains it.
func (t *attackTable) print(w io.Writer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if *attackFlag == 0 || len(t.rows) == 0 {
		return
	}
	slices.SortFunc(t.rows, func(a, b attackRow) int { return strings.Compare(a.attack, b.attack) })
	fmt.Fprint(w, "\n| attack | connections | sent | answers to good clients | p99 without | p99 with | memory before, most, after |\n"+
		"| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, r := range t.rows {
		fmt.Fprintf(w, "| %s | %d | %s | %s | %v | %v | %s, %s, %s |\n",
			r.attack, r.connections, bytesText(r.sent), r.during.statuses(), r.baseline.p99(), r.during.p99(),
			mebibytes(r.memory.before), mebibytes(r.memory.peak), mebibytes(r.memory.after))
	}
}

// statuses returns how often each status was received: "200 × 912, 201 × 3".
func (v *observations) statuses() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var parts []string
	for _, status := range slices.Sorted(maps.Keys(v.byStatus)) {
		parts = append(parts, fmt.Sprintf("%d × %d", status, v.byStatus[status]))
	}
	if v.lost > 0 {
		parts = append(parts, fmt.Sprintf("no answer × %d", v.lost))
	}
	return strings.Join(parts, ", ")
}

// p99 returns the time within which 99 of 100 requests were answered.
func (v *observations) p99() time.Duration {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.latencies) == 0 {
		return 0
	}
	l := load{latencies: slices.Sorted(slices.Values(v.latencies))}
	return l.quantile(0.99).Round(100 * time.Microsecond)
}

func mebibytes(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }

func bytesText(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return mebibytes(n)
}
