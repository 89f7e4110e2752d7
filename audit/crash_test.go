package audit

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// crashing is the variable that makes TestAKilledProcessLosesNoSyncedLine the process
// that is killed; its value is the path of the file.
const crashing = "AUDIT_TEST_FILE"

// TestAKilledProcessLosesNoSyncedLine kills processes in the middle of writing. Each
// one continues the file of the one before.
func TestAKilledProcessLosesNoSyncedLine(t *testing.T) {
	if path := os.Getenv(crashing); path != "" {
		writeUntilKilled(t, path)
		return
	}
	path := newPath(t)
	var synced uint64
	for range 10 {
		process := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAKilledProcessLosesNoSyncedLine$")
		process.Env = append(os.Environ(), crashing+"="+path)
		out, err := process.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := process.Start(); err != nil {
			t.Fatal(err)
		}
		said := uint64(0)
		var timer *time.Timer
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if timer == nil { // the file exists
				timer = time.AfterFunc(time.Duration(rand.IntN(200))*time.Millisecond, func() { _ = process.Process.Kill() })
			}
			if n := uint64(0); strings.HasPrefix(lines.Text(), "synced ") {
				if _, err := fmt.Sscanf(lines.Text(), "synced %d", &n); err == nil {
					said = n
				}
			}
		}
		_ = process.Wait()
		if timer == nil {
			t.Fatal("the process has ended before it wrote")
		}
		timer.Stop()
		synced = max(synced, said)
		text := content(t, path)
		whole := text[:bytes.LastIndexByte(text, '\n')+1]
		if s, err := Verify(bytes.NewReader(whole), VerifyOptions{}); err != nil || s.Last < synced {
			t.Fatalf("%+v, %v; %d lines were synced", s, err, synced)
		}
	}
	closed(t, opened(t, Options{Path: path}))
	s := verified(t, path, VerifyOptions{})
	if s.Kinds[kindResume] == 0 || s.Kinds[kindExchange] == 0 {
		t.Errorf("%+v", s)
	}
	t.Logf("%d lines, %d of them torn", s.Lines, s.Kinds[kindTorn])
}

func writeUntilKilled(t *testing.T, path string) {
	w := opened(t, Options{Path: path})
	for i := 0; ; i++ {
		w.Keep(write(i))
		if i%500 == 0 {
			fmt.Printf("synced %d\n", w.Stats().Seq)
			<-time.After(time.Millisecond)
		}
	}
}
