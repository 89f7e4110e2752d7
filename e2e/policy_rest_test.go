package e2e

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestPolicyFileThatIsBeingWrittenIsNotLoaded: the writer of the file needs more time
// than a file has to be at rest, and SIGHUP arrives during the writing. A try counts
// only if the machine was fast enough for the writer; policy's own test proves the
// bound in fake time.
func TestPolicyFileThatIsBeingWrittenIsNotLoaded(t *testing.T) {
	t.Parallel()
	f := newRules(t, closedRule)
	g := newStack(t, false).gateway(f.setting(), "RATE=0")
	one := g.as("app-one")
	one.get(keyOne).checkDenial("closed", "closed for now")
	for try := 0; ; try++ {
		reason := fmt.Sprint("closed for good, try ", try)
		lifted, inTime := f.writeSlowly(t, g, strings.Replace(closedRule, "closed for now", reason, 1), func() bool {
			return one.get(keyOne).status == http.StatusOK
		})
		if inTime && lifted {
			t.Fatal("half of the file is in force")
		}
		eventually(t, "the whole file to be in force", func() bool { return strings.Contains(one.get(keyOne).body, reason) })
		if inTime {
			return
		}
	}
}

// writeSlowly writes a file in pieces, for longer than a file has to be at rest. The
// file permits all requests at first and forbids with the rule at its end. writeSlowly
// reports whether lifted was ever true during the writing, and whether each two pieces
// were at most half of that time apart.
func (f *ruleFile) writeSlowly(t *testing.T, g *gateway, rule string, lifted func() bool) (ever, inTime bool) {
	t.Helper()
	const rest = 4 * time.Second
	file, err := os.Create(f.path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	write := func(piece string) {
		if _, err := file.WriteString(piece); err != nil {
			t.Fatal(err)
		}
	}
	write(permitAll)
	g.signal(syscall.SIGHUP)
	began, last := time.Now(), time.Now()
	for inTime = true; time.Since(began) < rest+rest/2; {
		for range 20 {
			ever = lifted() || ever
		}
		inTime = inTime && time.Since(last) < rest/2
		write("\n// more of it follows")
		last = time.Now()
	}
	write("\n" + rule)
	return ever, inTime
}
