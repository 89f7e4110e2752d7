package observe

import (
	"bytes"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is the time limit of every wait: it is for programs that hang, not for a
// machine that is busy with other work.
const patience = time.Minute

// buildPrograms builds osgate and osemu from the module around this one, like users do,
// and returns their folder.
func buildPrograms(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-tags", "grpcnotrace", "-o", dir+string(filepath.Separator), "./cmd/osgate", "./cmd/osemu")
	build.Dir = "../.."
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building osgate and osemu: %v\n%s", err, text)
	}
	return dir
}

// process is a program that a test started, with its output.
type process struct {
	command        *exec.Cmd
	stdout, stderr *output
}

// start runs a program with exactly this environment until the test ends.
func start(t testing.TB, program string, environment []string, arguments ...string) *process {
	t.Helper()
	p := &process{command: exec.Command(program, arguments...), stdout: &output{}, stderr: &output{}}
	p.command.Env = append([]string{"PATH=" + os.Getenv("PATH")}, environment...)
	p.command.Stdout, p.command.Stderr = p.stdout, p.stderr
	p.command.SysProcAttr = procAttr()
	p.command.WaitDelay = patience
	if err := p.command.Start(); err != nil {
		t.Fatalf("starting %s: %v", program, err)
	}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s wrote:\n%s\n%s", filepath.Base(program), p.stdout, tail(p.stderr.String()))
		}
	})
	return p
}

// kill ends the program like a crash would.
func (p *process) kill() {
	_ = p.command.Process.Kill()
	_ = p.command.Wait()
}

// tail returns the end of text, enough to find the cause of a failure.
func tail(text string) string {
	const most = 8 << 10
	return text[max(0, len(text)-most):]
}

// url waits for the n-th line of standard output, counted from 0, and returns the
// address in it.
func (p *process) url(t testing.TB, n int) string {
	t.Helper()
	var lines []string
	eventually(t, p.command.Path+" to say where it listens", func() bool {
		lines = strings.Split(p.stdout.String(), "\n")
		return len(lines) > n+1
	})
	return strings.TrimRight(lines[n][strings.Index(lines[n], "http://"):], "/ ")
}

// output is the output of a program so far. It is safe for concurrent use.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

// Write implements [io.Writer].
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

// String returns the output so far.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// redisServer is a redis-server that stores no data on disk.
type redisServer struct {
	*process
	address string
}

func startRedis(t testing.TB) *redisServer {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Fatal("redis-server is not installed; this test needs it (apt-get install redis-server)")
	}
	for range 100 { // below the ports that the system assigns, so that no other process gets it while the server is stopped
		r := &redisServer{address: "127.0.0.1:" + strconv.Itoa(11_000+rand.IntN(11_000))}
		if l, err := net.Listen("tcp", r.address); err == nil {
			_ = l.Close()
			r.restart(t)
			return r
		}
	}
	t.Fatal("no free port")
	return nil
}

// restart starts the server again, empty, on its port.
func (r *redisServer) restart(t testing.TB) {
	t.Helper()
	_, port, _ := net.SplitHostPort(r.address) // the address is well formed
	r.process = start(t, "redis-server", nil, "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	eventually(t, "redis-server", func() bool {
		return strings.Contains(r.stdout.String(), "Ready to accept connections")
	})
}

// eventually calls cond every 20 ms until it returns true, and fails the test when
// patience is over.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waiting for %s: not within %v", what, patience)
		}
	}
}

// client gives up if no answer arrives in time.
var client = &http.Client{Timeout: patience}
