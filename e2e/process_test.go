package e2e

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// testTimeout limits every wait of a test: for a program to start or to end, for a
// response, for a condition. It ends a test that hangs, and is no measure of speed: on
// a busy machine each wait may take this long.
const testTimeout = 2 * time.Minute

// process is a program that a test started.
type process struct {
	t              testing.TB
	name           string
	cmd            *exec.Cmd
	stdout, stderr *output
	ended          chan struct{} // closed when the program has ended
}

// startProgram runs a program with exactly this environment, and a PATH. When the test
// ends the program is killed; if the test failed its output is logged.
func startProgram(t testing.TB, program string, environment []string, arguments ...string) *process {
	t.Helper()
	return startProgramWithStderr(t, nil, program, environment, arguments...)
}

// startProgramWithStderr is startProgram with standard error connected to a file
// instead of a buffer.
func startProgramWithStderr(t testing.TB, stderr *os.File, program string, environment []string, arguments ...string) *process {
	t.Helper()
	p := &process{t: t, name: program[strings.LastIndexByte(program, '/')+1:], stdout: newOutput(), stderr: newOutput(), ended: make(chan struct{})}
	p.cmd = exec.Command(program, arguments...)
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TMPDIR=" + os.TempDir()}, environment...)
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, io.Writer(p.stderr)
	if stderr != nil {
		p.cmd.Stderr = stderr
	}
	p.cmd.SysProcAttr = procAttr()
	p.cmd.WaitDelay = testTimeout
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", p.name, err)
	}
	go func() { // ends with the program, which cleanup kills
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(p.cleanup)
	return p
}

func (p *process) cleanup() {
	_ = p.cmd.Process.Signal(syscall.SIGCONT)
	_ = p.cmd.Process.Kill()
	<-p.ended
	if p.t.Failed() {
		p.t.Logf("%s (pid %d) wrote to stdout:\n%s\nand to stderr:\n%s", p.name, p.cmd.Process.Pid, tail(p.stdout.String()), tail(p.stderr.String()))
	}
}

// tail returns the end of text, at most 16 KiB.
func tail(text string) string {
	const most = 16 << 10
	if len(text) <= most {
		return text
	}
	return "…" + text[len(text)-most:]
}

// stdoutLine waits for the n-th line of standard output, counted from 0, and returns it
// without its line feed.
func (p *process) stdoutLine(n int) string {
	p.t.Helper()
	var lines []string
	p.stdout.await(p.t, p.name+" to print its addresses", p.ended, func(text string) bool {
		lines = strings.SplitAfter(text, "\n")
		return len(lines) > n+1
	})
	return strings.TrimSuffix(lines[n], "\n")
}

// signal sends sig.
func (p *process) signal(sig os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatalf("sending %v to %s: %v", sig, p.name, err)
	}
}

// stop sends sig, waits until the program has ended, and returns its exit code: -1 if
// the signal ended it.
func (p *process) stop(sig os.Signal) int {
	p.t.Helper()
	p.signal(sig)
	return p.wait()
}

// wait waits until the program has ended and returns its exit code.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(testTimeout):
		p.t.Fatalf("%s is still running after %v", p.name, testTimeout)
		return -1
	}
}

// output is a buffer for the output of a program. It is safe for concurrent use.
type output struct {
	mu      sync.Mutex
	text    bytes.Buffer  // guarded by mu
	changed chan struct{} // guarded by mu; closed, and replaced, by each write
}

func newOutput() *output { return &output{changed: make(chan struct{})} }

// Write implements [io.Writer].
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.changed)
	o.changed = make(chan struct{})
	return o.text.Write(p)
}

// String returns all text written so far.
func (o *output) String() string {
	text, _ := o.snapshot()
	return text
}

func (o *output) snapshot() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String(), o.changed
}

// await waits until holds returns true for the written text. It fails the test after
// patience, or if the program ends first.
func (o *output) await(t testing.TB, what string, ended <-chan struct{}, holds func(text string) bool) {
	t.Helper()
	deadline := time.After(testTimeout)
	for {
		text, grown := o.snapshot()
		if holds(text) {
			return
		}
		select {
		case <-grown:
		case <-ended:
			if text, _ := o.snapshot(); holds(text) {
				return
			}
			t.Fatalf("waiting for %s: the program ended first", what)
		case <-deadline:
			t.Fatalf("waiting for %s: not within %v", what, testTimeout)
		}
	}
}

// eventually calls cond every 20 ms until it returns true. It fails the test after
// patience.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(testTimeout)
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waiting for %s: not within %v", what, testTimeout)
		}
	}
}

// eventuallyWithin waits until cond returns true. It fails the test if a call of cond
// that began later than bound still returns false: a slow machine alone cannot make it
// fail.
func eventuallyWithin(t testing.TB, bound time.Duration, what string, cond func() bool) {
	t.Helper()
	began := time.Now()
	eventually(t, what, func() bool {
		passed := time.Since(began)
		ok := cond()
		if !ok && passed > bound {
			t.Fatalf("waiting for %s: not within %v", what, bound)
		}
		return ok
	})
}

// programResult is the result of a program that has ended.
type programResult struct {
	code           int
	stdout, stderr string
}

// runProgram runs a program until it ends, for patience at most, and returns its exit
// code and output.
func runProgram(t testing.TB, program string, environment []string, arguments ...string) programResult {
	t.Helper()
	p := startProgram(t, program, environment, arguments...)
	code := p.wait()
	return programResult{code: code, stdout: p.stdout.String(), stderr: p.stderr.String()}
}

// requireProgram fails the test if program is not installed.
func requireProgram(t testing.TB, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); errors.Is(err, exec.ErrNotFound) {
		t.Fatalf("%s is not installed; this test needs it (apt-get install %s)", program, program)
	}
}
