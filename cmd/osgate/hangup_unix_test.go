//go:build unix

package main

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hangsUp sends this process a SIGHUP at the first write, and gives the signal time to
// arrive.
type hangsUp struct{ bytes.Buffer }

func (w *hangsUp) Write(p []byte) (int, error) {
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		return 0, err
	}
	<-time.After(100 * time.Millisecond)
	return w.Buffer.Write(p)
}

// TestAHangupWhileTheGatewayStartsDoesNotEndIt sends SIGHUP before the configuration
// has been read: a program that writes the policy may send it at any time. The test
// runs its own binary again, because a process cannot survive a signal that it does not
// handle.
func TestAHangupWhileTheGatewayStartsDoesNotEndIt(t *testing.T) {
	const variable = "OSGATE_TEST_HANGUP"
	if os.Getenv(variable) != "" {
		var complaints hangsUp
		p := &program{environ: []string{"OSGATE_RATE=-1"}, out: &bytes.Buffer{}, err: &complaints}
		os.Exit(p.run(t.Context(), nil))
	}
	again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	again.Env = append(os.Environ(), variable+"=yes")
	out, _ := again.CombinedOutput()
	if status := again.ProcessState; status.ExitCode() != exitMisuse || strings.Contains(string(out), "panic") {
		t.Errorf("%s, %s; want exit %d, for the configuration", status, out, exitMisuse)
	}
}
