//go:build clients

package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// clientRow is a client in docs/compatibility.md.
type clientRow struct {
	client, version, usage, setting string
}

// pinned reports whether the version is from package-lock.json, and not from the
// machine.
func (r clientRow) pinned() bool { return strings.Count(r.version, ".") == 2 && r.client != "curl" }

// String returns the row in the form of the page, without the version if the machine
// determines it.
func (r clientRow) String() string {
	version := r.version
	if !r.pinned() {
		version = ""
	}
	return fmt.Sprintf("| %s | %s | %s | works | %s |", r.client, version, r.usage, r.setting)
}

// compatibility is the clients whose steps succeeded.
type compatibility struct {
	mu   sync.Mutex
	rows []clientRow // guarded by mu
}

// compare compares a client's steps with the expected ones, and keeps its row if they
// are equal.
func (c *compatibility) compare(t *testing.T, r clientRow, steps []step, wanted []expectedStep) {
	t.Helper()
	for i := range max(len(steps), len(wanted)) {
		switch {
		case i >= len(steps):
			t.Errorf("%s %s: the step %q is missing", r.client, r.version, wanted[i].name)
		case i >= len(wanted):
			t.Errorf("%s %s: the step %q is not expected", r.client, r.version, steps[i].name)
		case !isSameStep(steps[i].name, wanted[i].name) || !steps[i].is(wanted[i].status, wanted[i].text):
			t.Errorf("%s %s: %v, want %v", r.client, r.version, steps[i], wanted[i])
		}
	}
	if t.Failed() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rows = append(c.rows, r)
}

// isSameStep reports whether a step is the expected one; "…" replaces the middle of its
// name.
func isSameStep(what, wanted string) bool {
	start, end, short := strings.Cut(wanted, "…")
	return what == wanted || short && strings.HasPrefix(what, start) && strings.HasSuffix(what, end)
}

// checkPage fails the test unless the page's table has exactly the kept rows. It does
// not compare versions that the machine determines.
func (c *compatibility) checkPage(t *testing.T, page string) {
	t.Helper()
	if t.Failed() {
		return
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var got, said []string
	for _, r := range c.rows {
		got = append(got, r.String())
	}
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(strings.TrimSpace(line), " | "); len(cells) == 5 && strings.Contains(line, "| works |") {
			r := clientRow{strings.TrimPrefix(cells[0], "| "), cells[1], cells[2], strings.TrimSuffix(cells[4], " |")}
			said = append(said, r.String())
		}
	}
	slices.Sort(got)
	slices.Sort(said)
	if !slices.Equal(got, said) {
		t.Errorf("%s has other rows than the clients that succeeded, with their versions:\n%s\nits rows are:\n%s", page, strings.Join(got, "\n"), strings.Join(said, "\n"))
	}
	for _, r := range c.rows {
		t.Logf("%s %s works", r.client, r.version)
	}
}
