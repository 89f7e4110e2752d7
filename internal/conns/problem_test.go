package conns

import (
	"context"
	"net"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// failing is a listener that returns errors before connections.
type failing struct {
	net.Listener
	errors chan error
	conns  chan net.Conn
}

func (f *failing) Accept() (net.Conn, error) {
	select {
	case err := <-f.errors:
		return nil, &net.OpError{Op: "accept", Err: err}
	default:
	}
	c, ok := <-f.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (f *failing) Close() error { close(f.conns); return nil }

// TestTheSystemsErrorsAreWaitedOut: one report for all of them and one for their end,
// and an idle connection is closed for its descriptor.
func TestTheSystemsErrorsAreWaitedOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &failing{errors: make(chan error, 10), conns: make(chan net.Conn, 10)}
		var mu sync.Mutex
		var changes []Change
		l := New(f, Options{Limit: 10, Changed: func(c Change) {
			mu.Lock()
			defer mu.Unlock()
			changes = append(changes, c)
		}})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = l.Run(ctx) }() // ends with ctx
		near, far := net.Pipe()
		f.conns <- near
		if _, err := l.Accept(); err != nil {
			t.Fatal(err)
		}
		near, _ = net.Pipe()
		for _, err := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS} {
			f.errors <- err
		}
		f.conns <- near // accepted by the call that is under way; the errors follow
		f.conns <- near
		for range 2 {
			if _, err := l.Accept(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := far.Read(make([]byte, 1)); err == nil {
			t.Error("the idle connection is still open")
		}
		if n := l.Counts(); n.Failed != 3 || n.ClosedIdle != 2 {
			t.Errorf("counts %+v, want 3 failures and 2 connections closed for their descriptors", n)
		}
		<-time.After(calm + lookEvery)
		synctest.Wait()
		want := []Change{{Problem: Failing, Times: 1, Cause: "accept: too many open files"}, {Problem: Failing, Over: true, Times: 3, Cause: "accept: too many open files"}}
		mu.Lock()
		defer mu.Unlock()
		if len(changes) != 2 || changes[0] != want[0] || changes[1] != want[1] {
			t.Errorf("changes %+v, want %+v", changes, want)
		}
		_ = l.Close()
	})
}

// TestATroubleThatGoesOnIsReportedOnceAMinute with the number of occurrences, not each
// time.
func TestATroubleThatGoesOnIsReportedOnceAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &failing{errors: make(chan error, 1), conns: make(chan net.Conn)}
		f.errors <- syscall.EMFILE
		var mu sync.Mutex
		var changes []Change
		l := New(f, Options{Limit: 10, Changed: func(c Change) {
			mu.Lock()
			defer mu.Unlock()
			changes = append(changes, c)
		}})
		defer func() { _ = l.Close() }()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = l.Run(ctx) }() // ends with ctx
		go func() { _, _ = l.Accept() }()
		for began := time.Now(); time.Since(began) < 150*time.Second; {
			f.errors <- syscall.EMFILE
		}
		<-time.After(calm + 2*longestWait + lookEvery) // of the last one
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if len(changes) != 4 || !changes[3].Over || changes[3].Times != l.Counts().Failed {
			t.Fatalf("changes %+v of %d failures, want the first, two more and the end with them all", changes, l.Counts().Failed)
		}
		for i, c := range changes[:3] {
			if c.Over || c.Problem != Failing || i > 0 && c.Times <= changes[i-1].Times {
				t.Errorf("change %d is %+v after %+v, want one that goes on, with more failures", i, c, changes[:i])
			}
		}
	})
}
