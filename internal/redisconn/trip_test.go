package redisconn

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"osgate/internal/redisconn/redistest"
)

// stuck is a hook that keeps every pipeline from returning until free is closed, and
// ignores its context: like a client library that ignores deadlines.
type stuck struct{ free chan struct{} }

func (stuck) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (stuck) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (s stuck) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		<-s.free
		return next(ctx, cmds)
	}
}

func TestLibraryThatIgnoresDeadlinesHoldsNobodyUp(t *testing.T) {
	const limit = 20 * time.Millisecond
	c, err := Open(Options{URL: redistest.Start(t).URL() + "?pool_size=1", Timeout: limit})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	hook := stuck{free: make(chan struct{})}
	defer close(hook.free)
	c.client.AddHook(hook)

	// More calls than there may be workers: the time of calls without a worker is
	// limited too.
	var calls sync.WaitGroup
	for range 3 * workersPerConnection {
		calls.Go(func() {
			start := time.Now()
			if err := c.Ping(t.Context()); !errors.Is(err, ErrDown) {
				t.Errorf("Ping: %v, want ErrDown", err)
			}
			if took := time.Since(start); took > time.Minute {
				t.Errorf("Ping took %v, want at most %v", took, limit)
			}
		})
	}
	calls.Wait()
	if got := len(c.workers); got != workersPerConnection {
		t.Errorf("%d workers, want %d", got, workersPerConnection)
	}
}

// TestLateRoundTripsCountOnceEach and open the breaker when they have been late for
// tripOver, whatever their number.
func TestLateRoundTripsCountOnceEach(t *testing.T) {
	for name, most := range map[string]int{"until it opens": 100_000, "too few": tripAfter - 1} {
		t.Run(name, func(t *testing.T) {
			c, err := Open(Options{URL: redistest.Start(t).URL(), Timeout: 20 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			hook := stuck{free: make(chan struct{})}
			c.client.AddHook(hook)
			for n := 0; n < most && c.State().OK; n++ {
				if err := c.Ping(t.Context()); !errors.Is(err, ErrDown) {
					t.Fatalf("Ping: %v, want ErrDown", err)
				}
			}
			before := c.State()
			close(hook.free) // now each fails again, in its worker
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			if after, want := c.State(), most < tripAfter; before.OK != want || after.OK != want {
				t.Errorf("%s: %+v and then %+v, want OK %v", name, before, after, want)
			}
		})
	}
}

func TestWorkersAreReusedAndEnd(t *testing.T) {
	c, err := Open(Options{URL: redistest.Start(t).URL(), Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if err := c.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(c.workers); got > 20 { // more than one if none was idle again yet
		t.Errorf("%d workers for one caller", got)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if got := len(c.workers); got != cap(c.workers) {
		t.Errorf("after Close %d of %d workers are kept from starting", got, cap(c.workers))
	}
}

func TestDescriptionsQuoteNoArguments(t *testing.T) {
	c := &Conn{timeout: 50 * time.Millisecond, redact: settings{secrets: []string{"hunter2"}}.redact}
	tests := []struct {
		outage error
		want   string
	}{
		{proto("ERR unknown command `HELLO`, with args beginning with: `3`, `auth`, `u`, `other`"), "it answered ERR"},
		{proto("LOADING Redis is loading the dataset in memory"), "it answered LOADING"},
		{context.DeadlineExceeded, "no answer within 50ms"},
		{&net.OpError{Op: "dial", Net: "tcp", Err: errors.New("lookup hunter2")}, "dial tcp: lookup [redacted]"},
		{redis.ErrPoolTimeout, "no free connection within 50ms"},
		{errBusy, "too many round trips in flight"},
	}
	for _, tt := range tests {
		if got := c.describe(tt.outage); got != tt.want {
			t.Errorf("describe(%q) = %q, want %q", tt.outage, got, tt.want)
		}
	}
}

func TestWhichErrorsAreOutages(t *testing.T) {
	outages := []error{
		errors.New("EOF"), context.DeadlineExceeded, redis.ErrClosed, redis.ErrPoolTimeout,
		proto("LOADING Redis is loading"), proto("READONLY You can't write"), proto("CLUSTERDOWN Hash slot not served"),
		proto("MASTERDOWN Link"), proto("MISCONF Redis is configured"), proto("OOM command not allowed"),
		proto("NOAUTH Authentication required."), proto("WRONGPASS invalid"), proto("NOPERM this user"),
		proto("BUSY Redis is busy"), proto("MOVED 1 127.0.0.1:1"), proto("ASK 1 127.0.0.1:1"),
		proto("NOREPLICAS Not enough"), proto("ERR max number of clients reached"), proto("ERR invalid password"),
		proto("ERR AUTH <password> called without any password configured"),
	}
	for _, err := range outages {
		if !isOutage(err) {
			t.Errorf("%q is no outage", err)
		}
	}
	for _, err := range []error{
		nil, redis.Nil, proto("NOSCRIPT No matching script."), proto("WRONGTYPE Operation"), proto("ERR syntax error"),
		proto("CROSSSLOT Keys"), proto("TRYAGAIN Multiple keys"), proto("EXECABORT Transaction"), proto("BUSYGROUP Consumer"),
	} {
		if isOutage(err) {
			t.Errorf("%v is an outage", err)
		}
	}
}

// proto is an error reply of Redis.
type proto string

func (p proto) Error() string { return string(p) }
func (proto) RedisError()     {}
