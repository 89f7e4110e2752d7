package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"osgate/internal/memnet"
)

// line is a connection of HTTP/1 that the test drives by hand.
type line struct {
	net.Conn
	t  *testing.T
	in *bufio.Reader
}

func dial(t *testing.T, l *memnet.Listener) *line {
	t.Helper()
	c, err := l.Dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &line{c, t, bufio.NewReader(c)}
}

// send writes text.
func (c *line) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Errorf("sending %.40q: %v", text, err)
	}
}

// answer reads a whole answer, and returns its status and whether it closes the
// connection.
func (c *line) answer() (status int, closes bool) {
	c.t.Helper()
	a, err := http.ReadResponse(c.in, nil)
	if err != nil {
		c.t.Errorf("reading an answer: %v", err)
		return 0, false
	}
	if _, err := io.Copy(io.Discard, a.Body); err != nil {
		c.t.Errorf("reading the body of an answer: %v", err)
	}
	return a.StatusCode, a.Close
}

// lasts returns how long the connection stays open, and fails the test if more bytes
// arrive on it.
func (c *line) lasts() time.Duration {
	c.t.Helper()
	began := time.Now()
	if more, _ := io.ReadAll(c.in); len(more) > 0 {
		c.t.Errorf("the connection brought %.60q", more)
	}
	return time.Since(began)
}

// Heads of requests that are refused whatever follows them.
const (
	lostHead   = "PUT /nowhere HTTP/1.1\r\nHost: " + host + "\r\n"
	loginHead  = "POST /accounts/login HTTP/1.1\r\nHost: " + host + "\r\n"
	keyHead    = "PUT " + keyPath + " HTTP/1.1\r\nHost: " + host + "\r\nAuthorization: Bearer one\r\n"
	wrongHead  = "PUT " + keyPath + " HTTP/1.1\r\nHost: " + host + "\r\nAuthorization: Bearer wrong\r\n"
	statsHead  = "GET /api/v1/organizations/o?period=1day HTTP/1.1\r\nHost: " + host + "\r\nAuthorization: Bearer one\r\n"
	bodyOf10   = "Content-Length: 10\r\n\r\n"
	bodyOf1M   = "Content-Length: 1000000\r\n\r\n"
	bodyChunks = "Transfer-Encoding: chunked\r\n\r\n"
	expect     = "Expect: 100-continue\r\n"
)

func TestARefusedExpectEndsItsConnection(t *testing.T) {
	for name, tt := range map[string]struct {
		head   string
		status int
	}{
		"unknown path":      {lostHead + expect + bodyOf10, 404},
		"long":              {lostHead + expect + bodyOf1M, 404},
		"chunked":           {lostHead + expect + bodyChunks, 404},
		"refused token":     {wrongHead + expect + bodyOf10, 401},
		"larger than taken": {keyHead + expect + "Content-Length: 100000000\r\n\r\n", 413},
		"closed surface":    {loginHead + expect + bodyOf10, 404},
		"statistics":        {statsHead + expect + bodyOf10, 200},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t, func(o *Options) { o.Accounts = false })
				c := dial(t, serveFake(t, g))
				began := time.Now()
				c.send(tt.head)
				status, closes := c.answer()
				if status != tt.status || !closes || time.Since(began) != 0 {
					t.Errorf("status %d, ends the connection %t, after %v; want %d, true, at once", status, closes, time.Since(began), tt.status)
				}
				if lasted := c.lasts(); lasted > time.Second {
					t.Errorf("the connection stayed open for %v", lasted)
				}
			})
		})
	}
}

func TestAnUnknownExpectationEndsItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, serveFake(t, newRig(t)))
		c.send(keyHead + "Expect: a-miracle\r\n" + bodyOf10)
		if status, closes := c.answer(); status != http.StatusExpectationFailed || !closes {
			t.Errorf("status %d, ends the connection %t, want 417, true", status, closes)
		}
		if lasted := c.lasts(); lasted > 11*time.Second {
			t.Errorf("the connection stayed open for %v", lasted)
		}
	})
}

// TestAnAnswerIsSentBeforeTheRestOfItsRequestIsAwaited also checks that such a request
// holds no slot while its rest is awaited.
func TestAnAnswerIsSentBeforeTheRestOfItsRequestIsAwaited(t *testing.T) {
	for name, tt := range map[string]struct {
		head   string
		status int
	}{
		"unknown path": {lostHead + bodyOf10, 404}, "refused token": {wrongHead + bodyOf10, 401}, "chunked": {lostHead + bodyChunks, 404},
		"closed surface": {loginHead + bodyOf10, 404}, "long": {lostHead + bodyOf1M, 404}, "statistics": {statsHead + bodyOf10, 200},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t, func(o *Options) { o.Accounts = false })
				c := dial(t, serveFake(t, g))
				began := time.Now()
				c.send(tt.head)
				if status, _ := c.answer(); status != tt.status || time.Since(began) != 0 {
					t.Errorf("status %d after %v, want %d at once", status, time.Since(began), tt.status)
				}
				synctest.Wait()
				serving, _ := g.serving.counts()
				lingering, _ := g.lingering.counts()
				if serving != [2]int{} || lingering[0]+lingering[1] != 1 || g.Exchanges() != 0 || len(g.exchanges) != 1 {
					t.Errorf("slots held %v, lingering %v, under way %d, recorded %d", serving, lingering, g.Exchanges(), len(g.exchanges))
				}
				if lasted := c.lasts(); lasted != lingerTime {
					t.Errorf("the connection stayed open for %v, want %v", lasted, lingerTime)
				}
				synctest.Wait()
				if lingering, _ := g.lingering.counts(); lingering != [2]int{} {
					t.Errorf("lingering %v behind the end of the connection", lingering)
				}
			})
		})
	}
}

func TestARefusedRequestLeavesItsConnectionToTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		c := dial(t, serveFake(t, g))
		for i, pause := range []time.Duration{0, 0, lingerTime - time.Second} {
			go func() { // a connection in memory has no buffer: a write waits for its reader
				c.send(wrongHead + bodyOf10 + "01234")
				<-time.After(pause)
				c.send("56789")
			}()
			if status, closes := c.answer(); status != 401 || closes {
				t.Errorf("request %d: status %d, ends the connection %t", i, status, closes)
			}
			<-time.After(pause)
			synctest.Wait()
		}
		if len(g.exchanges) != 3 {
			t.Errorf("%d exchanges, want 3", len(g.exchanges))
		}
	})
}

// TestTheRestOfARefusedRequestIsNeverTakenForARequest sends a rest that looks like a
// request, after the gateway has stopped waiting for it.
func TestTheRestOfARefusedRequestIsNeverTakenForARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		c := dial(t, serveFake(t, g))
		c.send(lostHead + "Content-Length: 1000\r\n\r\n")
		if status, _ := c.answer(); status != 404 {
			t.Errorf("status %d", status)
		}
		<-time.After(lingerTime)
		// The connection may already be closed.
		_, _ = io.WriteString(c, "GET "+keyPath+" HTTP/1.1\r\nHost: "+host+"\r\nAuthorization: Bearer one\r\n\r\n")
		_ = c.lasts()
		if len(g.exchanges) != 1 {
			t.Errorf("%d exchanges, want 1", len(g.exchanges))
		}
	})
}

func TestWhereTooManyLingerTheConnectionIsClosedInstead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, func(o *Options) { o.MaxExchanges = 16 }) // one for each address among the refused
		l := serveFake(t, g)
		first, second := dial(t, l), dial(t, l)
		first.send(lostHead + bodyOf10)
		if status, _ := first.answer(); status != 404 {
			t.Errorf("status %d, want 404", status)
		}
		second.send(lostHead + bodyOf10)
		if lasted := second.lasts(); lasted != 0 {
			t.Errorf("the second connection stayed open for %v", lasted)
		}
		if x := g.last(); x.Status != 404 || !x.Aborted || x.ResponseBytes != 0 {
			t.Errorf("record: %d, aborted %t, %d bytes", x.Status, x.Aborted, x.ResponseBytes)
		}
		if _, refused := g.lingering.counts(); refused[shortOfAddress] != 1 {
			t.Errorf("counted %v", refused)
		}
	})
}

func TestAnEarlyAnswerOfUpstreamIsNotHeldUpByTheRestOfItsRequest(t *testing.T) {
	for _, length := range []int64{4, -1} {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t)
			g.upstream = func(*http.Request) (*http.Response, error) {
				answer := reply(http.StatusInsufficientStorage, "full")
				answer.ContentLength = length
				return answer, nil
			}
			c := dial(t, serveFake(t, g))
			began := time.Now()
			c.send(keyHead + bodyOf1M)
			head, err := c.in.ReadString('\n')
			if err != nil || !strings.Contains(head, "507") || time.Since(began) != 0 {
				t.Errorf("length %d: %q, error %v, after %v", length, head, err, time.Since(began))
			}
			rest, err := io.ReadAll(c.in)
			if text := string(rest); err != nil || !strings.Contains(text, "full") || length < 0 && !strings.HasSuffix(text, "\r\n0\r\n\r\n") {
				t.Errorf("length %d: the answer goes on %q, error %v", length, text, err)
			}
			if lasted := time.Since(began); lasted > lingerTime+time.Second {
				t.Errorf("length %d: the connection stayed open for %v", length, lasted)
			}
		})
	}
}

func TestARefusedBodyIsNotUploadedOverHTTP2(t *testing.T) {
	for _, expects := range []bool{false, true} {
		t.Run(fmt.Sprint("expects ", expects), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t)
				client := fakeClient(t, serveFake(t, g), 2)
				client.Transport.(*http.Transport).ExpectContinueTimeout = time.Minute //nolint:errcheck // it is one
				body := slowly(100)
				r, _ := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://memory/nowhere", body)
				r.ContentLength = 100 * 64 << 10
				if expects {
					r.Header.Set("Expect", "100-continue")
				}
				began := time.Now()
				answer, err := client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				_ = answer.Body.Close()
				if answer.StatusCode != 404 || time.Since(began) != 0 {
					t.Errorf("status %d after %v, want 404 at once", answer.StatusCode, time.Since(began))
				}
				<-time.After(10 * time.Second)
				if sent := int(r.ContentLength) - body.left*64<<10 - len(body.rest); sent > 128<<10 || expects && sent > 0 {
					t.Errorf("%d of %d bytes were uploaded", sent, r.ContentLength)
				}
			})
		})
	}
}
