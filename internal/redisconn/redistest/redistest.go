// Package redistest starts real Redis servers for tests, alone ([Start]), as a cluster
// ([StartCluster]) or with sentinels ([StartSentinels]), and does to them what
// happens to Redis in production: it is killed, restarted empty, flushed, loses its
// primary, moves its slots, or stops answering while its port stays open.
//
// It needs redis-server in PATH and fails the test where there is none: a test
// that asks for a real Redis proves nothing without one. Nothing here is for use
// outside tests.
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
	// patience bounds whatever is waited for, which takes milliseconds or, where servers
	// must agree, seconds: it is for what hangs, not for a machine that is busy.
	patience = 2 * time.Minute
	// startAttempts is how often a start is tried: between choosing a free port
	// and Redis binding it, another process may take it.
	startAttempts = 5
)

// Server is one redis-server process on a loopback port, without persistence.
// Its methods fail the test that started it rather than return errors; they may
// be called from several goroutines, one at a time each.
type Server struct {
	t     testing.TB
	port  int
	file  string   // of its configuration; empty: none
	args  []string // but for file and port
	env   []string // besides the test's own
	ready string   // what it prints when it answers

	mu   sync.Mutex    // guards cmd and done
	cmd  *exec.Cmd     // nil while the server is stopped
	done chan struct{} // closed when cmd has exited
}

// Start starts a server on a free port and returns when it answers. It is killed
// when the test ends, and on Linux also when the test process dies. extra are
// further arguments of redis-server, such as "--requirepass", "secret".
func Start(t testing.TB, extra ...string) *Server {
	t.Helper()
	needRedis(t)
	return start(t, nil, extra)
}

// start is Start with variables of the server's environment.
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

// needRedis fails the test where there is no redis-server.
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

// Addr returns the server's host:port. It stays the same over [Server.Restart].
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// URL returns the server's address as a redis:// URL of database 0, without
// credentials.
func (s *Server) URL() string { return "redis://" + s.Addr() + "/0" }

// Stop kills the server: its connections break, its port refuses and its data is
// gone. Stopping a stopped server does nothing.
func (s *Server) Stop() {
	s.t.Helper()
	s.kill()
}

// Restart brings the server up on its old port, killing it first if it still
// runs. It comes up empty.
func (s *Server) Restart() {
	s.t.Helper()
	s.kill()
	if err := retry(s.launch); err != nil {
		s.t.Fatalf("restarting redis-server on port %d: %v", s.port, err)
	}
}

// Pause freezes the server with SIGSTOP: the kernel goes on accepting
// connections and bytes, but nothing is answered. It is a black hole until
// [Server.Resume].
func (s *Server) Pause() {
	s.t.Helper()
	s.signal(syscall.SIGSTOP)
}

// Resume lets a paused server run on, with its data.
func (s *Server) Resume() {
	s.t.Helper()
	s.signal(syscall.SIGCONT)
}

// Flush deletes every key of every database. Loaded scripts stay.
func (s *Server) Flush() {
	s.t.Helper()
	s.Do("FLUSHALL")
}

// Do sends one command on a connection of its own and returns the first line of
// the answer without its type byte, or, of a bulk string, the string itself. An
// error answer fails the test. Of an array, it returns the length.
func (s *Server) Do(args ...string) string {
	s.t.Helper()
	return s.ask(args...).text
}

func (s *Server) ask(args ...string) answer {
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

// kill ends the process and waits for it. A process frozen by SIGSTOP dies of
// SIGKILL too.
func (s *Server) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // an error means that it is dead already
	<-s.done
	s.cmd = nil
}

// launch starts the process and returns once it says on its output that it
// accepts connections.
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
	go func() { // ends with the process, which kill and the timeout below see to
		_ = cmd.Wait() // a server that was killed always says so
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

// readyLog collects what redis-server prints and closes ready when the sign is in it.
type readyLog struct {
	sign  []byte
	mu    sync.Mutex // guards all below
	buf   bytes.Buffer
	ready chan struct{}
	told  bool
}

func (l *readyLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.told {
		return len(p), nil
	}
	l.buf.Write(p)
	if bytes.Contains(l.buf.Bytes(), l.sign) {
		l.told = true
		close(l.ready)
	}
	return len(p), nil
}

func (l *readyLog) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// freePort returns a port on which nobody listens. It lies below those that the system
// gives to whoever asks for any (from 32768 on Linux), so that nobody gets it by chance
// before the server has bound it, or while the server is away.
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
