package e2e

import (
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestAPolicyThatIsBeingWrittenIsNotTakenHalf: its writer pauses for longer than there
// is between two looks, and SIGHUP comes in between.
func TestAPolicyThatIsBeingWrittenIsNotTakenHalf(t *testing.T) {
	t.Parallel()
	f := newRules(t, closedRule)
	g := newStack(t, false).gateway(f.setting(), "RATE=0")
	one := g.as("app-one")
	one.get(keyOne).denied("closed", "closed for now")
	file, err := os.Create(f.path) // without what forbids
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if _, err := file.WriteString(permitAll); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	g.signal(syscall.SIGHUP)
	pause := 2500 * time.Millisecond // two looks fall into it; the file has to rest for 4 s
	for time.Since(began) < pause {
		if a := one.get(keyOne); a.status == http.StatusOK && time.Since(began) < pause {
			t.Fatalf("after %v half of the file is in force", time.Since(began))
		}
	}
	if _, err := file.WriteString(strings.Replace(closedRule, "closed for now", "closed for good", 1)); err != nil {
		t.Fatal(err)
	}
	if gap := time.Since(began); gap > 3*time.Second {
		t.Skipf("this machine paused for %v between the two writes: too long for this test", gap)
	}
	eventually(t, "the whole file to be in force", func() bool {
		a := one.get(keyOne)
		if a.status == http.StatusOK {
			t.Fatal("half of the file is in force")
		}
		return strings.Contains(a.body, "closed for good")
	})
}
