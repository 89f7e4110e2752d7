package proxy

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"osgate/ratelimit"
)

func TestASlowClientThatIsServedStaleHoldsUpNoRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, staleness(t, 20*time.Second, 0))
		g.get("one", keyPath)
		<-time.After(12 * time.Second)
		came := 0
		g.upstream = func(*http.Request) (*http.Response, error) { came++; return reply(200, "new"), nil }
		slow := stuck{httptest.NewRecorder(), make(chan struct{})}
		served := make(chan struct{})
		go func() { g.ServeHTTP(slow, g.read()); close(served) }()
		synctest.Wait()
		if came != 1 {
			t.Errorf("upstream was asked %d times while the client reads, want once", came)
		}
		if w := g.get("one", keyPath); w.Body.String() != "new" {
			t.Errorf("the next one got %s", w.Body)
		}
		close(slow.released)
		<-served
		if err := g.Close(t.Context()); err != nil || g.last().UpstreamAttempts != 1 || !g.last().Hit {
			t.Errorf("record %+v, %v", g.last(), err)
		}
	})
}

func TestASlowClientThatIsServedStaleInsteadOfAFailureHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, staleness(t, 0, 200*time.Second))
		g.get("one", keyPath)
		<-time.After(12 * time.Second)
		gate := g.behind(func() (*http.Response, error) { return reply(503, "down"), nil })
		slow := stuck{httptest.NewRecorder(), make(chan struct{})}
		served := make(chan struct{})
		go func() { g.ServeHTTP(slow, g.read()); close(served) }()
		synctest.Wait()
		began := time.Now()
		follower := g.start(g.read())
		close(gate.open)
		if w := <-follower; w.Code != 200 || time.Since(began) > time.Second || gate.came.Load() != 1 {
			t.Errorf("%d after %v, upstream was asked %d times", w.Code, time.Since(began), gate.came.Load())
		}
		close(slow.released)
		<-served
	})
}

func TestWaitingClientsDoNotAllRequestAHangingUpstream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		asked := 0
		g.upstream = func(r *http.Request) (*http.Response, error) {
			asked++
			<-time.After(50 * time.Millisecond) // until the connection is there
			select {
			case <-time.After(upstreamTimeout):
			case <-r.Context().Done():
			}
			return nil, context.DeadlineExceeded
		}
		var all []<-chan *httptest.ResponseRecorder
		began := time.Now()
		for range 100 {
			all = append(all, g.start(g.read()))
		}
		for _, one := range all {
			if w := <-one; w.Code != http.StatusGatewayTimeout {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		}
		if took := time.Since(began); asked != 1 || took > upstreamTimeout+time.Second {
			t.Errorf("upstream was asked %d times, the last answer came after %v", asked, took)
		}
	})
}

func TestResponseToARequestWithABodyIsNotShared(t *testing.T) {
	g := newRig(t, func(o *Options) { o.SharedScope = true })
	g.upstream = func(r *http.Request) (*http.Response, error) {
		var body []byte
		if r.Body != nil {
			body, _ = io.ReadAll(r.Body)
		}
		return reply(200, "v"+string(body)), nil
	}
	g.get("two", storePath+"/partitions/p/keys/other") // to get its grant
	if w := g.do(g.read("", "poison")); w.Body.String() != "vpoison" || !strings.Contains(w.Header().Get("Cache-Status"), "bypass") {
		t.Errorf("with a body: %s, %s", w.Body, w.Header().Get("Cache-Status"))
	}
	if w := g.get("two", keyPath); w.Body.String() != "v" {
		t.Errorf("another one got %s", w.Body)
	}
}

func TestAfterARefusalNothingThatWasAskedBeforeIsJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		open, asked := make(chan struct{}), 0
		g.upstream = func(r *http.Request) (*http.Response, error) {
			if asked++; asked == 1 {
				<-open
				return reply(200, "secret"), nil
			}
			return reply(403, "no"), nil
		}
		leader := g.start(g.read())
		if w := g.get("one", storePath+"/partitions/p/keys/x"); w.Code != 403 {
			t.Fatal(w.Code)
		}
		follower := g.start(g.read()) // came after the gateway saw that the right was withdrawn
		close(open)
		<-leader
		if w := <-follower; w.Code != 403 {
			t.Errorf("%d %s, %s", w.Code, w.Body, w.Header().Get("Cache-Status"))
		}
	})
}

// refusing admits one unit and refuses all others, each after ten milliseconds.
type refusing struct{ taken *int }

func (r refusing) TakeWithin(context.Context, string, ratelimit.Quota, time.Duration) (ratelimit.Result, time.Duration, error) {
	if *r.taken++; *r.taken == 1 {
		return ratelimit.Result{Allowed: true}, 0, nil
	}
	<-time.After(10 * time.Millisecond)
	return ratelimit.Result{RetryAfter: 2 * time.Second}, 10 * time.Millisecond, nil
}

func TestOurOwnRefusalIsNoFailureOfUpstreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, staleness(t, 0, 200*time.Second), func(o *Options) {
			o.MaxWait, o.CountUpstream, o.Limiter = time.Second, true, refusing{new(int)}
		})
		g.get("one", keyPath)
		<-time.After(12 * time.Second)
		leader, follower := g.start(g.read()), g.start(g.read())
		if a, b := <-leader, <-follower; a.Code != 429 || b.Code != 429 {
			t.Errorf("the leader got %d, the follower %d (%s), want 429 for both", a.Code, b.Code, b.Header().Get("Cache-Status"))
		}
	})
}

// TestAnswersThatAreReadAheadAreWhole sends bodies with lengths around the number of
// bytes that is kept, with and without a Content-Length, over real sockets.
func TestAnswersThatAreReadAheadAreWhole(t *testing.T) {
	for _, n := range []int{0, 1, 4096, 32767, 32768, 32769, 65535, 65536, 65537, 98304, 200000} {
		for _, announced := range []bool{true, false} {
			body := bytes.Repeat([]byte("0123456789abcde\n"), n/16+1)[:n]
			g, front := socketRig(t, func(w http.ResponseWriter, _ *http.Request) {
				if announced {
					w.Header().Set("Content-Length", itoa(n))
				} else {
					_ = http.NewResponseController(w).Flush()
				}
				for i := 0; i < n; i += 7001 {
					_, _ = w.Write(body[i:min(n, i+7001)])
				}
			})
			for range 2 {
				r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, front.URL+keyPath, http.NoBody)
				r.Header.Set("Authorization", "Bearer one")
				answer, err := front.Client().Do(r)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(answer.Body)
				_ = answer.Body.Close()
				if err != nil || !bytes.Equal(got, body) {
					t.Errorf("of %d bytes, announced %t: %d, %v", n, announced, len(got), err)
				}
			}
			if left := g.Cache.Stats().UnderWay; left != 0 {
				t.Errorf("%d bytes are still under way", left)
			}
		}
	}
}
