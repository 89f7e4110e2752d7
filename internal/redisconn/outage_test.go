package redisconn_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"osgate/internal/redisconn"
	"osgate/internal/redisconn/redistest"
)

// TestOutages covers the ways in which Redis fails: no caller waits longer than the
// timeout, no more commands are sent soon after, and they are sent again when Redis is
// back.
func TestOutages(t *testing.T) {
	tests := map[string]struct {
		lose, back func(s *redistest.Server)
		lastError  string
	}{
		"refused": {
			lose: func(s *redistest.Server) { s.Stop() },
			back: func(s *redistest.Server) { s.Restart() }, lastError: "connection refused",
		},
		"black hole": {
			lose: func(s *redistest.Server) { s.Pause() },
			back: func(s *redistest.Server) { s.Resume() }, lastError: "no answer within " + timeout.String(),
		},
		"read-only replica": {
			lose: func(s *redistest.Server) { s.Do("REPLICAOF", "127.0.0.1", "1") },
			back: func(s *redistest.Server) { s.Do("REPLICAOF", "NO", "ONE") }, lastError: "it answered READONLY",
		},
		"full": {
			lose: func(s *redistest.Server) { s.Do("CONFIG", "SET", "maxmemory", "1") },
			back: func(s *redistest.Server) { s.Do("CONFIG", "SET", "maxmemory", "0") }, lastError: "it answered OOM",
		},
		"too few replicas": {
			lose: func(s *redistest.Server) { s.Do("CONFIG", "SET", "min-replicas-to-write", "1") },
			back: func(s *redistest.Server) { s.Do("CONFIG", "SET", "min-replicas-to-write", "0") }, lastError: "it answered NOREPLICAS",
		},
		"password changed": {
			lose: func(s *redistest.Server) {
				s.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
				s.Do("CONFIG", "SET", "requirepass", "hunter2")
			},
			back: func(s *redistest.Server) { s.Restart() }, lastError: "it answered NOAUTH",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			c, changes := openHasty(t, s.URL())
			write := func() error { return set(c) }
			if err := write(); err != nil {
				t.Fatalf("before: %v", err)
			}

			tt.lose(s)
			change, held := askUntil(t, write, changes)
			if change.OK || !strings.Contains(change.LastError, tt.lastError) || change.Since.IsZero() {
				t.Errorf("change to %+v, want one to not OK for %q", change, tt.lastError)
			}
			if held > timeout+scheduling {
				t.Errorf("each call took %v while Redis went, want at most %v", held, timeout)
			}
			fastest := time.Hour
			for range 5 {
				start := time.Now()
				if err := write(); !errors.Is(err, redisconn.ErrDown) {
					t.Errorf("with the breaker open: %v, want ErrDown", err)
				}
				fastest = min(fastest, time.Since(start))
			}
			if fastest > timeout/2 {
				t.Errorf("with the breaker open the fastest call took %v", fastest)
			}

			tt.back(s)
			if change, _ = askUntil(t, write, changes); !change.OK {
				t.Errorf("change to %+v, want one to OK", change)
			}
			if err := write(); err != nil {
				t.Errorf("after: %v", err)
			}
		})
	}
}

// TestOutagesPrintNothing runs one of TestOutages again in a process of its own:
// go-redis logs each failed dial to the standard error of its process.
func TestOutagesPrintNothing(t *testing.T) {
	out, err := exec.Command(os.Args[0], "-test.run=^TestOutages$/^refused$").CombinedOutput()
	if err != nil || strings.Contains(string(out), "redis:") {
		t.Errorf("%v, output:\n%s", err, out)
	}
}

func TestRecoveryFollowsALongOutageAsSoon(t *testing.T) {
	// After as many failed dials as its pool is large, go-redis dials only once a
	// second: the worst case for recovery.
	s := redistest.Start(t)
	s.Stop()
	c, changes := open(t, s.URL()+"?pool_size=1")
	for range 5 {
		if err := c.Ping(t.Context()); !errors.Is(err, redisconn.ErrDown) {
			t.Fatalf("Ping of nothing: %v, want ErrDown", err)
		}
	}
	if down := <-changes; down.OK {
		t.Fatalf("change to %+v, want one to not OK", down)
	}
	s.Restart()
	askUntil(t, func() error { return set(c) }, changes)
}

func TestWhileDownRedisIsLeftAlone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var dials atomic.Int32
	accepting := make(chan struct{})
	go func() { // ends when l is closed
		defer close(accepting)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			dials.Add(1)
			conn.Close()
		}
	}()
	c, changes := open(t, "redis://"+l.Addr().String())
	askUntil(t, func() error { return get(t.Context(), c) }, changes)
	before, start := dials.Load(), time.Now()
	for range 10_000 {
		if err := get(t.Context(), c); !errors.Is(err, redisconn.ErrDown) {
			t.Fatalf("a call while down: %v, want ErrDown", err)
		}
	}
	// Probes follow each other after 500 ms at most.
	took := time.Since(start)
	if probes, most := dials.Load()-before, 5+int32(took/(500*time.Millisecond)); probes > most {
		t.Errorf("10,000 calls in %v caused %d dials, want at most %d", took, probes, most)
	}
	l.Close()
	<-accepting
}

func TestCallersThatLeaveEarlyStillRevealABlackHole(t *testing.T) {
	s := redistest.Start(t)
	c, changes := openHasty(t, s.URL())
	s.Pause()
	impatient := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), timeout/10)
		defer cancel()
		if err := get(ctx, c); !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		return nil
	}
	if change, _ := askUntil(t, impatient, changes); change.OK {
		t.Errorf("change to %+v, want one to not OK", change)
	}
}

func TestRunFindsOutWithoutTraffic(t *testing.T) {
	s := redistest.Start(t)
	c, changes := open(t, s.URL())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- c.Run(ctx) }()
	s.Stop()
	if change := <-changes; change.OK {
		t.Errorf("change to %+v, want one to not OK", change)
	}
	s.Restart()
	if change := <-changes; !change.OK {
		t.Errorf("change to %+v, want one to OK", change)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v, want nil", err)
	}
}

func TestClusterWorksAndSaysWhenItDoesNot(t *testing.T) {
	s := redistest.Start(t, "--cluster-enabled", "yes")
	c, changes := open(t, s.URL()+"?addr="+s.Addr())
	if change, _ := askUntil(t, func() error { return set(c) }, changes); change.OK {
		t.Errorf("without slots: change to %+v, want one to not OK", change)
	}
	s.Do("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
	if change, _ := askUntil(t, func() error { return set(c) }, changes); !change.OK {
		t.Errorf("with slots: change to %+v, want one to OK", change)
	}
}
