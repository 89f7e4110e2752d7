package proxy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"osgate/cache"
	"osgate/cache/coherence"
	"osgate/internal/memnet"
	"osgate/record"
)

// watched is a coherence that records its marks, and makes them fail when the test
// requires it.
type watched struct {
	coherence.Tracker
	fails func() error // called before each mark; nil: no mark fails

	mu       sync.Mutex
	marks    []time.Time // guarded by mu: the successful marks
	releases int         // guarded by mu
}

func (c *watched) Mark(ctx context.Context, on coherence.Resources, writer coherence.ID, lease time.Duration) error {
	begun := time.Now()
	if c.fails != nil {
		if err := c.fails(); err != nil {
			return err
		}
	}
	c.mu.Lock()
	c.marks = append(c.marks, begun)
	c.mu.Unlock()
	return c.Tracker.Mark(ctx, on, writer, lease)
}

func (c *watched) Release(on coherence.Resources, writer coherence.ID, changed bool) {
	c.mu.Lock()
	c.releases++
	c.mu.Unlock()
	c.Tracker.Release(on, writer, changed)
}

// counts returns the times of the marks, and how many leases were released.
func (c *watched) counts() (marks []time.Time, releases int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.marks, c.releases
}

const (
	testTimeout = 30 * time.Second // OSGATE_UPSTREAM_TIMEOUT
	testLease   = 2 * testTimeout
)

// coherent changes a rig's cache to one that uses c.
func coherent(t *testing.T, c *watched) func(*Options) {
	t.Helper()
	c.Tracker = coherence.NewLocal()
	store, err := cache.New(cache.Options{Bytes: 1 << 20, EntryBytes: 1 << 16, WriteLease: testLease, Coherence: c})
	if err != nil {
		t.Fatal(err)
	}
	return func(o *Options) { o.Cache = store }
}

// longBody is the size of a body that [attempts] does not keep, and that therefore goes
// upstream while it arrives; piece is a sixth of it.
const longBody = 6 * keptBody

var piece = strings.Repeat("x", keptBody)

// uploads runs test in fake time with a gateway between an upstream and a client, both
// over connections in memory. The client has sent the header of a PUT with a body of
// size bytes.
func uploads(t *testing.T, c *watched, size int, upstream http.HandlerFunc, test func(t *testing.T, client net.Conn)) {
	t.Helper()
	bubble(t, upstream, func(t *testing.T, g *rig) {
		l := memnet.Listen()
		front := &http.Server{Handler: g}
		go func() { _ = front.Serve(l) }() // ends with Close
		client, err := l.Dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(client, "PUT "+keyPath+" HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer one\r\nContent-Length: "+strconv.Itoa(size)+"\r\n\r\n")
		test(t, client)
		_ = client.Close()
		_ = front.Close()
	}, coherent(t, c))
}

// statusOf reads an answer and returns its status.
func statusOf(t *testing.T, client net.Conn) int {
	t.Helper()
	answer, err := http.ReadResponse(bufio.NewReader(client), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

func TestAWriteIsMarkedForAsLongAsItMayLand(t *testing.T) {
	c := new(watched)
	read := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-time.After(testTimeout - time.Second)
		w.WriteHeader(http.StatusCreated)
	}
	uploads(t, c, longBody, read, func(t *testing.T, client net.Conn) {
		for range 6 { // the client takes longer than upstream may take, and longer than one lease
			<-time.After(idleTimeout - 5*time.Second)
			_, _ = io.WriteString(client, piece)
		}
		if got := statusOf(t, client); got != http.StatusCreated {
			t.Errorf("status %d", got)
		}
		over := time.Now()
		marks, releases := c.counts()
		for i, at := range marks {
			next := over
			if i+1 < len(marks) {
				next = marks[i+1]
			}
			if gap := next.Sub(at); gap > testLease-testTimeout {
				t.Errorf("no renewal for %v after the mark %d", gap, i)
			}
		}
		<-time.After(2 * testLease)
		if later, _ := c.counts(); len(later) != len(marks) || releases != 1 {
			t.Errorf("%d marks after the write was over, %d releases", len(later)-len(marks), releases)
		}
	})
}

// TestAWriteWhoseMarkIsLostIsCutBeforeItsLeaseEnds makes Redis unreachable for this
// gateway only, in the middle of a write.
func TestAWriteWhoseMarkIsLostIsCutBeforeItsLeaseEnds(t *testing.T) {
	gone := func() error { return errors.New("gone") }
	for name, tt := range map[string]struct {
		size     int
		every    time.Duration // from one piece of the body to the next
		fails    func() error  // called from the second mark on
		releases int           // of the lease
	}{
		"while its client sends":  {size: longBody, every: 6 * time.Second, fails: gone},
		"while its client pauses": {size: longBody, every: 50 * time.Second, fails: gone},
		"by a renewal that hangs": {size: longBody, every: 6 * time.Second, fails: func() error { <-time.After(time.Hour); return errors.New("late") }},
		"before it is sent":       {size: keptBody, every: 50 * time.Second, fails: gone, releases: 1},
	} {
		t.Run(name, func(t *testing.T) {
			var cut atomic.Pointer[time.Time]
			cuts := func(_ http.ResponseWriter, r *http.Request) {
				if _, err := io.Copy(io.Discard, r.Body); err == nil {
					t.Error("upstream has all of the write")
				}
				now := time.Now()
				cut.Store(&now)
			}
			var calls atomic.Int32
			c := &watched{fails: func() error {
				if calls.Add(1) == 1 {
					return nil
				}
				return tt.fails()
			}}
			uploads(t, c, tt.size, cuts, func(t *testing.T, client net.Conn) {
				start := time.Now()
				go func() { // ends when the connection does
					for n := 0; n < tt.size; n += len(piece) {
						<-time.After(tt.every)
						_, _ = io.WriteString(client, piece)
					}
				}()
				want := http.StatusGatewayTimeout // the bytes that were sent may have taken effect
				if tt.releases > 0 {
					want = http.StatusServiceUnavailable
				}
				if got, took := statusOf(t, client), time.Since(start); got != want || took > testTimeout {
					t.Errorf("status %d after %v, want %d", got, took, want)
				}
				synctest.Wait() // until upstream has seen it too
				if _, releases := c.counts(); releases != tt.releases {
					t.Errorf("%d leases given back, want %d", releases, tt.releases)
				}
				at := cut.Load()
				if sent := tt.releases == 0; sent != (at != nil) || sent && at.Sub(start) != testTimeout {
					t.Errorf("upstream was cut at %v, want %v after %v", at, testTimeout, start)
				}
				_ = client.Close()
				<-time.After(2 * time.Hour)
			})
		})
	}
}

// TestAConnectionServesOnAfterAWriteWhoseMarkIsLost checks that a write that upstream
// has received completely is given up without an effect on the client's connection,
// which serves the next request.
func TestAConnectionServesOnAfterAWriteWhoseMarkIsLost(t *testing.T) {
	var calls atomic.Int32
	c := &watched{fails: func() error {
		if calls.Add(1) == 1 {
			return nil
		}
		return errors.New("gone")
	}}
	hangs := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Method == http.MethodPut {
			<-r.Context().Done()
			return
		}
		w.WriteHeader(http.StatusNotFound)
	}
	const size = 100 << 10 // longer than a body that is kept to be sent again
	uploads(t, c, size, hangs, func(t *testing.T, client net.Conn) {
		_, _ = io.WriteString(client, strings.Repeat("x", size))
		answers := bufio.NewReader(client)
		for _, want := range []int{http.StatusGatewayTimeout, http.StatusNotFound} {
			answer, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(answer.Body)
			if answer.StatusCode != want {
				t.Fatalf("status %d %s, want %d", answer.StatusCode, text, want)
			}
			_, _ = io.WriteString(client, "GET "+keyPath+" HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer one\r\n\r\n")
		}
	})
}

func TestAWriteIsRenewedAgainAfterARenewalThatFailed(t *testing.T) {
	begun := false
	var start time.Time
	c := new(watched)
	c.fails = func() error {
		if !begun {
			begun, start = true, time.Now()
		}
		if since := time.Since(start); since > 0 && since < testTimeout-2*time.Second {
			return errors.New("gone")
		}
		return nil
	}
	read := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusCreated)
	}
	uploads(t, c, longBody, read, func(t *testing.T, client net.Conn) {
		for range 6 {
			<-time.After(testTimeout / 3)
			_, _ = io.WriteString(client, piece)
		}
		if got := statusOf(t, client); got != http.StatusCreated {
			t.Errorf("status %d", got)
		}
	})
}

func TestAWriteThatCouldOutliveItsMarkIsNotSent(t *testing.T) {
	g := newRig(t, func(o *Options) { o.Timeout = time.Hour }) // the rig's marks last a minute
	w := g.do(request(t, "PUT "+keyPath, "Authorization: Bearer one", "", "{}"))
	if w.Code != 503 || codeOf(t, w) != "overloaded" || len(g.sent) != 0 {
		t.Errorf("%d %s, %d requests upstream", w.Code, w.Body, len(g.sent))
	}
	if w := g.get("one", keyPath); w.Code != 200 {
		t.Errorf("a read: %d", w.Code)
	}
}

// TestAWriteThatHasNoConnectionYetEndsWithItsClient also checks that the lease of such
// a write is released, because the write will never be sent.
func TestAWriteThatHasNoConnectionYetEndsWithItsClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := new(watched)
		dials := func(context.Context, string, string) (net.Conn, error) {
			<-time.After(dialTimeout)
			return nil, errors.New("no connection")
		}
		transport := NewTransport(TransportOptions{Timeout: testTimeout, Dial: dials})
		g := newRig(t, coherent(t, c), func(o *Options) { o.Transport = transport })
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		start := time.Now()
		time.AfterFunc(time.Second/2, cancel)
		g.do(request(t, "PUT "+keyPath, "Authorization: Bearer one", "", strings.Repeat("x", 10)).WithContext(ctx))
		if took := time.Since(start); took != time.Second/2 || g.last().Status != record.StatusClientLeft {
			t.Errorf("ended after %v with %d", took, g.last().Status)
		}
		if _, releases := c.counts(); releases != 1 {
			t.Errorf("%d leases given back", releases)
		}
		<-time.After(dialTimeout)
	})
}
