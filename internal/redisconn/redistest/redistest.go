// Package redistest starts real Redis servers for tests, alone ([Start]), as a cluster
// ([StartCluster]) or with sentinels ([StartSentinels]), and simulates the events of
// production: a server is killed, restarted empty, flushed, loses its primary, moves
// its slots, or stops answering while its port stays open.
//
// It needs redis-server in PATH and fails the test if it is missing: a test that needs
// a real Redis proves nothing without one. The package is for tests only.
package redistest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// patience limits every wait. Waits take milliseconds or, if servers must agree,
	// seconds: the limit is for programs that hang, not for a busy machine.
	patience = 2 * time.Minute
	// startAttempts is how often a start is tried: after a free port is chosen, another
	// process may take it before Redis does.
	startAttempts = 5
)

// Server is one redis-server process on a loopback port, without persistence. Its
// methods fail the test that started it instead of returning errors. Several goroutines
// may call them, one call at a time each.
type Server struct {
	t     testing.TB
	port  int
	file  string   // configuration file; empty: none
	args  []string // arguments without file and port
	env   []string // variables in addition to the test's own
	ready string   // text that it prints when it accepts connections

	mu   sync.Mutex    // guards cmd and done
	cmd  *exec.Cmd     // nil while the server is stopped
	done chan struct{} // closed when cmd has exited
}

// Start starts a server on a free port and returns when it answers. The server is
// killed when the test ends, and on Linux also when the test process dies. extra are
// more arguments of redis-server, such as "--requirepass", "secret".
func Start(t testing.TB, extra ...string) *Server {
	t.Helper()
	needRedis(t)
	return start(t, nil, extra)
}

// start is Start with environment variables for the server.
func start(t testing.TB, env, extra []string) *Server {
	t.Helper()
	s := newServer(t, extra...)
	s.env = env
	err := retry(func() (err error) {
		if s.port, err = freePort(); err != nil {
			return err
		}
		return s.launch()
	})
	if err != nil {
		t.Fatalf("starting redis-server: %v", err)
	}
	return s
}

// needRedis fails the test if redis-server is not installed.
func needRedis(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Fatalf("this test needs a real Redis: %v (install redis-server 7 or later)", err)
	}
}

// newServer returns a server that has no port yet and is killed when the test ends.
func newServer(t testing.TB, extra ...string) *Server {
	s := &Server{t: t, ready: "Ready to accept connections", args: append([]string{
		"--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir(),
	}, extra...)}
	t.Cleanup(s.kill)
	return s
}

// retry calls start until it succeeds, startAttempts times at most.
func retry(start func() error) (err error) {
	for range startAttempts {
		if err = start(); err == nil {
			return nil
		}
	}
	return err
}

// Addr returns the server's host:port. It does not change after [Server.Restart].
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// URL returns the server's address as a redis:// URL of database 0, without
// credentials.
func (s *Server) URL() string { return "redis://" + s.Addr() + "/0" }

// Stop kills the server: its connections break, its port refuses connections and its
// data is lost. Stopping a stopped server has no effect.
func (s *Server) Stop() {
	s.t.Helper()
	s.kill()
}

// Restart starts the server on its old port, and kills it first if it runs. It starts
// empty.
func (s *Server) Restart() {
	s.t.Helper()
	s.kill()
	if err := retry(s.launch); err != nil {
		s.t.Fatalf("restarting redis-server on port %d: %v", s.port, err)
	}
}

// Pause stops the server with SIGSTOP: the kernel still accepts connections and bytes,
// but nothing answers until [Server.Resume].
func (s *Server) Pause() {
	s.t.Helper()
	s.signal(syscall.SIGSTOP)
}

// Resume continues a paused server, with its data.
func (s *Server) Resume() {
	s.t.Helper()
	s.signal(syscall.SIGCONT)
}

// Flush deletes every key of every database. Loaded scripts stay.
func (s *Server) Flush() {
	s.t.Helper()
	s.Do("FLUSHALL")
}

// Do sends one command on a new connection and returns the first line of the answer
// without its type byte, for a bulk string the string, and for an array its length. An
// error answer fails the test.
func (s *Server) Do(args ...string) string {
	s.t.Helper()
	return s.send(args...).text
}

func (s *Server) send(args ...string) answer {
	s.t.Helper()
	a, err := command(s.Addr(), args)
	if err != nil {
		s.t.Fatalf("redis %s: %v", strings.Join(args, " "), err)
	}
	return a
}

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		s.t.Fatalf("redis-server on port %d is not running", s.port)
	}
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatalf("sending %v to redis-server: %v", sig, err)
	}
}

// kill ends the process and waits for it. SIGKILL also ends a process that SIGSTOP has
// stopped.
func (s *Server) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // an error means that it has ended already
	<-s.done
	s.cmd = nil
}

// launch starts the process and returns when its output reports that it accepts
// connections.
func (s *Server) launch() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	log := &readyLog{sign: []byte(s.ready), ready: make(chan struct{})}
	args := append([]string{"--port", strconv.Itoa(s.port)}, s.args...)
	if s.file != "" {
		args = append([]string{s.file}, args...)
	}
	cmd := exec.Command("redis-server", args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = procAttr()
	if s.env != nil {
		cmd.Env = append(os.Environ(), s.env...)
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() { // ends with the process, which kill or the timeout below ends
		_ = cmd.Wait() // always an error for a killed server
		close(done)
	}()
	var err error
	select {
	case <-log.ready:
		s.cmd, s.done = cmd, done
		return nil
	case <-done:
		err = errors.New("it exited at once")
	case <-time.After(patience):
		err = fmt.Errorf("not ready after %v", patience)
	}
	_ = cmd.Process.Kill()
	<-done
	return fmt.Errorf("%w; its output:\n%s", err, log.text())
}

// readyLog collects the output of redis-server and closes ready when the output
// contains sign.
type readyLog struct {
	sign  []byte
	mu    sync.Mutex // guards the fields below
	buf   bytes.Buffer
	ready chan struct{}
	seen  bool
}

func (l *readyLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen {
		return len(p), nil
	}
	l.buf.Write(p)
	if bytes.Contains(l.buf.Bytes(), l.sign) {
		l.seen = true
		close(l.ready)
	}
	return len(p), nil
}

func (l *readyLog) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// freePort returns a port that is free. It is below the ports that the system assigns
// (from 32768 on Linux), so that no other process gets it by chance before the server
// has bound it, or while the server is stopped.
func freePort() (int, error) {
	const first, count, attempts = 11000, 11000, 100
	for range attempts {
		port := first + rand.IntN(count)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no free port")
}
