package redisconn_test

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"osgate/internal/redisconn"
	"osgate/internal/redisconn/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	// patience is the time limit of every wait in the tests, and the timeout of a Conn
	// in tests where nothing may be late: it is for programs that hang, and a machine
	// that is busy with other work is no outage.
	patience = time.Minute
	// timeout is the timeout of a Conn in tests where answers are late.
	timeout = 500 * time.Millisecond
	// scheduling is the time that a busy machine may add to a time limit. Without the
	// time limit under test, go-redis waits for up to 5 s.
	scheduling = 2 * time.Second
)

// open opens a Conn that is closed when the test ends, and returns the changes of its
// state.
func open(t *testing.T, url string) (*redisconn.Conn, <-chan redisconn.State) {
	t.Helper()
	return openWith(t, redisconn.Options{URL: url, Timeout: patience})
}

// openHasty is open with a short timeout.
func openHasty(t *testing.T, url string) (*redisconn.Conn, <-chan redisconn.State) {
	t.Helper()
	return openWith(t, redisconn.Options{URL: url, Timeout: timeout})
}

func openWith(t *testing.T, o redisconn.Options) (*redisconn.Conn, <-chan redisconn.State) {
	t.Helper()
	changes := make(chan redisconn.State, 100)
	o.Group = true
	o.OnChange = func(s redisconn.State) { changes <- s }
	c, err := redisconn.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return c, changes
}

// get reads a key that is never set, and returns Do's error.
func get(ctx context.Context, c *redisconn.Conn) error {
	return c.Do(ctx, func(ctx context.Context, p redis.Pipeliner) error {
		p.Get(ctx, "nothing")
		return nil
	})
}

// set writes a key.
func set(c *redisconn.Conn) error {
	return c.Do(context.Background(), func(ctx context.Context, p redis.Pipeliner) error {
		p.Set(ctx, c.Key("test", "k"), "v", 0)
		return nil
	})
}

// askUntil calls ask in quick succession until stop receives a value. It returns that
// value and the shortest duration of a failed call: the machine may have held up the
// others.
func askUntil[T any](t *testing.T, ask func() error, stop <-chan T) (received T, held time.Duration) {
	t.Helper()
	pause := time.NewTicker(5 * time.Millisecond)
	defer pause.Stop()
	end := time.After(patience)
	held = patience
	for {
		start := time.Now()
		err := ask()
		if err != nil {
			held = min(held, time.Since(start))
		}
		if err != nil && !errors.Is(err, redisconn.ErrDown) {
			t.Fatalf("error %v, want one that is ErrDown", err)
		}
		select {
		case received = <-stop:
			return received, held
		case <-end:
			t.Fatalf("nothing changed for %v", patience)
		case <-pause.C:
		}
	}
}

func TestDoSendsItsCommandsInOneRoundTrip(t *testing.T) {
	s := redistest.Start(t)
	c, _ := open(t, s.URL())
	var value, missing *redis.StringCmd
	var wrong *redis.IntCmd
	before := reads(t, c)
	err := c.Do(t.Context(), func(ctx context.Context, p redis.Pipeliner) error {
		p.Set(ctx, "a", "1", 0)
		value, missing, wrong = p.Get(ctx, "a"), p.Get(ctx, "nothing"), p.LLen(ctx, "a")
		return nil
	})
	after := reads(t, c)
	if err != nil {
		t.Fatalf("Do: %v", err)
	}
	if after-before != 2 { // the second one is reads itself
		t.Errorf("Redis read %d times, want 2", after-before)
	}
	if value.Val() != "1" || !errors.Is(missing.Err(), redis.Nil) || wrong.Err() == nil {
		t.Errorf("answers %v, %v, %v; want 1, nil and an error of its own", value, missing, wrong)
	}
}

func TestErrorRepliesOfOneCommandAreNoOutage(t *testing.T) {
	s := redistest.Start(t)
	c, _ := open(t, s.URL())
	for range 10 {
		var cmd *redis.Cmd
		err := c.Do(t.Context(), func(ctx context.Context, p redis.Pipeliner) error {
			cmd = p.EvalSha(ctx, strings.Repeat("0", 40), nil)
			return nil
		})
		if err != nil || !strings.HasPrefix(cmd.Err().Error(), "NOSCRIPT") {
			t.Fatalf("Do: %v, its command: %v; want nil and NOSCRIPT", err, cmd.Err())
		}
	}
	if st := c.State(); !st.OK || st.LastError != "" {
		t.Errorf("state %+v, want OK without an error", st)
	}
}

func TestOutageOfOneCommandIsThatOfAll(t *testing.T) {
	s := redistest.Start(t)
	c, _ := open(t, s.URL())
	s.Do("REPLICAOF", "127.0.0.1", "1")
	err := c.Do(t.Context(), func(ctx context.Context, p redis.Pipeliner) error {
		p.Get(ctx, "nothing")
		p.EvalSha(ctx, strings.Repeat("0", 40), nil)
		p.Set(ctx, "k", "v", 0)
		return nil
	})
	if !errors.Is(err, redisconn.ErrDown) || !strings.Contains(err.Error(), "READONLY") {
		t.Errorf("Do: %v, want ErrDown for READONLY", err)
	}
}

func TestNothingIsSentWhereQueueFailsOrQueuesNothing(t *testing.T) {
	c, _ := open(t, "redis://"+refused(t))
	mine := errors.New("mine")
	err := c.Do(t.Context(), func(ctx context.Context, p redis.Pipeliner) error {
		p.Get(ctx, "k")
		return mine
	})
	if !errors.Is(err, mine) {
		t.Errorf("Do: %v, want queue's own error", err)
	}
	if err := c.Do(t.Context(), func(context.Context, redis.Pipeliner) error { return nil }); err != nil {
		t.Errorf("Do of nothing: %v", err)
	}
}

func TestOpenDialsNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dialed := make(chan struct{})
	go func() { // ends when l is closed
		defer close(dialed)
		if conn, err := l.Accept(); err == nil {
			conn.Close()
			dialed <- struct{}{}
		}
	}()
	for _, query := range []string{"?min_idle_conns=3", "?addr=" + l.Addr().String(), "?master_name=m"} {
		c, _ := open(t, "redis://"+l.Addr().String()+query)
		if !c.State().OK {
			t.Errorf("%s: not OK before the first command", query)
		}
	}
	// A dial of Open would be in the listener's queue by now or soon.
	select {
	case <-dialed:
		t.Error("Open dialed")
	case <-time.After(20 * time.Millisecond):
	}
	l.Close()
	<-dialed
}

func TestCallerThatLeavesIsNotHeldAndIsNoOutage(t *testing.T) {
	s := redistest.Start(t)
	c, changes := openWith(t, redisconn.Options{URL: s.URL(), Timeout: patience})
	if err := set(c); err != nil {
		t.Fatal(err)
	}
	s.Pause()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Millisecond, cancel)
	start := time.Now()
	err := get(ctx, c)
	if !errors.Is(err, context.Canceled) || errors.Is(err, redisconn.ErrDown) {
		t.Errorf("error %v, want context.Canceled alone", err)
	}
	for range 5 {
		hasty, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		if err := get(hasty, c); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, redisconn.ErrDown) {
			t.Errorf("error %v, want context.DeadlineExceeded alone", err)
		}
		cancel()
	}
	if took := time.Since(start); took > patience/2 {
		t.Errorf("the callers were held for %v", took)
	}
	s.Resume()
	if err := get(ctx, c); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v, want context.Canceled", err)
	}
	if err := get(t.Context(), c); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if st := c.State(); len(changes) != 0 || st.LastError != "" {
		t.Errorf("state %+v after %d changes, want none and no error", st, len(changes))
	}
}

func TestOnChangeMayCallState(t *testing.T) {
	s := redistest.Start(t)
	s.Stop()
	var c *redisconn.Conn
	seen := make(chan redisconn.State, 1)
	c, err := redisconn.Open(redisconn.Options{URL: s.URL(), OnChange: func(redisconn.State) { seen <- c.State() }})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if st, _ := askUntil(t, func() error { return get(t.Context(), c) }, seen); st.OK {
		t.Errorf("state within OnChange %+v, want not OK", st)
	}
}

func TestClosedConnIsDown(t *testing.T) {
	s := redistest.Start(t)
	c, _ := open(t, s.URL())
	if err := get(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := c.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	}
	if err := get(t.Context(), c); !errors.Is(err, redisconn.ErrDown) {
		t.Errorf("Do after Close: %v, want ErrDown", err)
	}
}

func TestKeysOfOneTagShareASlot(t *testing.T) {
	c, _ := open(t, "redis://127.0.0.1:1")
	if got, want := c.Key("rate", "abc"), "osgate:rate:{abc}"; got != want {
		t.Errorf("Key = %q, want %q", got, want)
	}
	if got, want := c.Key("gen", "7", "a", "b"), "osgate:gen:{7}:a:b"; got != want {
		t.Errorf("Key = %q, want %q", got, want)
	}
}

func TestScripterRunsScriptsThatRedisForgot(t *testing.T) {
	s := redistest.Start(t)
	c, _ := open(t, s.URL())
	script := redis.NewScript(`return redis.call("INCR", KEYS[1])`)
	for want := range int64(3) {
		got, err := script.Run(t.Context(), c.Scripter(), []string{"n"}).Int64()
		if err != nil || got != want+1 {
			t.Errorf("run %d: %d, %v", want+1, got, err)
		}
		s.Do("SCRIPT", "FLUSH")
	}
	if known, err := script.Exists(t.Context(), c.Scripter()).Result(); err != nil || known[0] {
		t.Errorf("after SCRIPT FLUSH the script exists: %v, %v", known, err)
	}
	if _, err := script.Load(t.Context(), c.Scripter()).Result(); err != nil {
		t.Error(err)
	}
	read := redis.NewScript(`return redis.call("GET", KEYS[1])`)
	for range 2 { // EVALSHA_RO, then EVAL_RO; then only EVALSHA_RO
		if got, err := read.RunRO(t.Context(), c.Scripter(), []string{"n"}).Text(); err != nil || got != "3" {
			t.Errorf("read-only run: %q, %v", got, err)
		}
	}
	if n, err := c.Scripter().Del(t.Context(), "n").Result(); err != nil || n != 1 {
		t.Errorf("Del: %d, %v", n, err)
	}
	s.Stop()
	for range 10 { // first with a round trip, then without
		if err := script.Run(t.Context(), c.Scripter(), []string{"n"}).Err(); !errors.Is(err, redisconn.ErrDown) {
			t.Errorf("a script without Redis: %v, want ErrDown", err)
		}
	}
}

// reads returns how often Redis has read from its connections; this command is one
// read.
func reads(t *testing.T, c *redisconn.Conn) int {
	t.Helper()
	var info *redis.StringCmd
	err := c.Do(t.Context(), func(ctx context.Context, p redis.Pipeliner) error {
		info = p.Info(ctx, "stats")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(info.Val(), "total_reads_processed:")
	digits, _, _ := strings.Cut(rest, "\r\n")
	n, err := strconv.Atoi(digits)
	if err != nil {
		t.Fatalf("total_reads_processed: %v", err)
	}
	return n
}

// refused returns an address that refuses connections.
func refused(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
