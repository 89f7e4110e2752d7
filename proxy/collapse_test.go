package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"osgate/ratelimit"
	"osgate/record"
)

// gate holds the requests to a rig's upstream until it is opened, and counts them.
type gate struct {
	open chan struct{}
	came atomic.Int64
}

// behind makes upstream's answers wait for a gate.
func (g *rig) behind(answer func() (*http.Response, error)) *gate {
	gate := &gate{open: make(chan struct{})}
	g.upstream = func(r *http.Request) (*http.Response, error) {
		gate.came.Add(1)
		select {
		case <-gate.open:
			return answer()
		case <-r.Context().Done():
			return nil, context.Cause(r.Context())
		}
	}
	return gate
}

// start serves r on a goroutine of its own; the answer arrives on the channel.
func (g *rig) start(r *http.Request) <-chan *httptest.ResponseRecorder {
	got := make(chan *httptest.ResponseRecorder, 1)
	go func() { got <- g.do(r) }()
	synctest.Wait()
	return got
}

func (g *rig) read(lines ...string) *http.Request {
	return request(g.t, "GET "+keyPath, append([]string{"Authorization: Bearer one"}, lines...)...)
}

func ok(body string) func() (*http.Response, error) {
	return func() (*http.Response, error) { return reply(200, body), nil }
}

func TestAStampedeCostsOneUpstreamRequest(t *testing.T) {
	const clients = 1000
	var g *rig
	asked := atomic.Int64{}
	g, front := socketRig(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		for g.Exchanges() < clients && r.Context().Err() == nil {
			<-time.After(time.Millisecond)
		}
		_, _ = io.WriteString(w, strings.Repeat("v", 10<<10))
	})
	client := front.Client()
	var all sync.WaitGroup
	var bad, collapsed atomic.Int64
	for range clients {
		all.Go(func() {
			r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, front.URL+keyPath, nil)
			r.Header.Set("Authorization", "Bearer one")
			answer, err := client.Do(r)
			if err != nil {
				bad.Add(1)
				return
			}
			body, err := io.ReadAll(answer.Body)
			_ = answer.Body.Close()
			if err != nil || answer.StatusCode != 200 || len(body) != 10<<10 {
				bad.Add(1)
			}
			if strings.Contains(answer.Header.Get("Cache-Status"), "collapsed") {
				collapsed.Add(1)
			}
		})
	}
	all.Wait()
	if asked.Load() != 1 || bad.Load() != 0 || collapsed.Load() == 0 {
		t.Errorf("%d requests upstream, %d bad answers, %d collapsed", asked.Load(), bad.Load(), collapsed.Load())
	}
	hits := 0
	for _, x := range records(t, g, clients) {
		if x.Hit && x.UpstreamAttempts == 0 && x.Charged {
			hits++
		}
	}
	if hits != clients-1 {
		t.Errorf("%d exchanges were charged and cost upstream nothing, want %d", hits, clients-1)
	}
}

func TestWaitingClientsGetTheLeadersResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		gate := g.behind(ok("v"))
		leader, follower := g.start(g.read("X-Request-Id: a")), g.start(g.read("X-Request-Id: b"))
		close(gate.open)
		for want, got := range map[string]<-chan *httptest.ResponseRecorder{"osgate; fwd=miss; stored": leader, "osgate; fwd=miss; collapsed": follower} {
			if w := <-got; w.Code != 200 || w.Body.String() != "v" || w.Header().Get("Cache-Status") != want || w.Header().Get("RateLimit") == "" {
				t.Errorf("%d %s %v, want %s", w.Code, w.Body, w.Header(), want)
			}
		}
		if gate.came.Load() != 1 {
			t.Errorf("%d requests upstream", gate.came.Load())
		}
	})
}

func TestTheFetchGoesOnThoughItsClientLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		gate := g.behind(ok("v"))
		ctx, leave := context.WithCancel(t.Context())
		leader, follower := g.start(g.read().WithContext(ctx)), g.start(g.read())
		leave()
		synctest.Wait()
		close(gate.open)
		<-leader
		if w := <-follower; w.Code != 200 || w.Body.String() != "v" || gate.came.Load() != 1 {
			t.Errorf("%d %s, %d requests upstream", w.Code, w.Body, gate.came.Load())
		}
	})
}

func TestTheFetchEndsWhenAllHaveLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.behind(ok("v"))
		ctx, leave := context.WithCancel(t.Context())
		leader, follower := g.start(g.read().WithContext(ctx)), g.start(g.read().WithContext(ctx))
		leave()
		<-leader // it returns because its client leaves: the gate stays closed
		<-follower
		for _, x := range g.exchanges {
			if x.Status != record.StatusClientLeft {
				t.Errorf("record %+v", x)
			}
		}
	})
}

func TestWaitingClientsShareAFailure(t *testing.T) {
	for name, tt := range map[string]struct {
		answer func() (*http.Response, error)
		status int
		code   string
	}{
		"unreachable": {func() (*http.Response, error) { return nil, errors.New("refused") }, 502, "upstream-unreachable"},
		"late":        {func() (*http.Response, error) { return nil, context.DeadlineExceeded }, 504, "upstream-timeout"},
		"its own 503": {func() (*http.Response, error) { return reply(503, "down", "Retry-After", "7"), nil }, 503, ""},
		"its own 403": {func() (*http.Response, error) { return reply(403, "no"), nil }, 403, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t)
				gate := g.behind(tt.answer)
				var all []<-chan *httptest.ResponseRecorder
				for range 10 {
					all = append(all, g.start(g.read()))
				}
				close(gate.open)
				for _, got := range all {
					if w := <-got; w.Code != tt.status || codeOf(t, w) != tt.code || tt.status == 503 && w.Header().Get("Retry-After") != "7" {
						t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
					}
				}
				if gate.came.Load() != 1 {
					t.Errorf("%d requests upstream", gate.came.Load())
				}
			})
		})
	}
}

func TestAnAnswerThatIsCutIsNobodysAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		gate := g.behind(func() (*http.Response, error) {
			answer := reply(200, "half")
			answer.ContentLength = 8
			answer.Body = io.NopCloser(io.MultiReader(strings.NewReader("half"), failing{err: io.ErrUnexpectedEOF}))
			return answer, nil
		})
		leader, follower := g.start(g.read()), g.start(g.read())
		close(gate.open)
		for name, got := range map[string]<-chan *httptest.ResponseRecorder{"leader": leader, "follower": follower} {
			if w := <-got; w.Code != 502 || codeOf(t, w) != "upstream-unreachable" || strings.Contains(w.Header().Get("Cache-Status"), "stored") {
				t.Errorf("%s: %d %v %s", name, w.Code, w.Header(), w.Body)
			}
		}
		if x := g.exchanges; len(x) != 2 || x[0].Aborted || x[1].Aborted {
			t.Errorf("records %+v", x)
		}
		if s := g.Cache.Stats(); s.Entries != 0 || s.UnderWay != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// stuck is a client that accepts no bytes until it is released.
type stuck struct {
	*httptest.ResponseRecorder
	released chan struct{}
}

func (s stuck) Write(p []byte) (int, error) {
	<-s.released
	return s.ResponseRecorder.Write(p)
}

func TestSlowClientDelaysNoOtherClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		body := strings.Repeat("v", 60<<10)
		gate := g.behind(ok(body))
		slow := stuck{httptest.NewRecorder(), make(chan struct{})}
		served := make(chan struct{})
		go func() {
			g.ServeHTTP(slow, g.read())
			close(served)
		}()
		synctest.Wait()
		follower := g.start(g.read())
		close(gate.open)
		if w := <-follower; w.Body.String() != body {
			t.Errorf("a follower got %d bytes", w.Body.Len())
		}
		close(slow.released)
		<-served
		if slow.Body.String() != body {
			t.Errorf("the slow client got %d bytes", slow.Body.Len())
		}
	})
}

func TestABodyThatOutgrowsTheCacheIsEachOnesOwn(t *testing.T) {
	body := string(bytes.Repeat([]byte("0123456789abcdef"), 10<<10)) // 160 KiB, of which 64 KiB are kept
	for name, length := range map[string]int64{"announced": int64(len(body)), "of unknown length": -1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t)
				gate := g.behind(func() (*http.Response, error) {
					answer := reply(200, body)
					answer.ContentLength = length
					return answer, nil
				})
				all := []<-chan *httptest.ResponseRecorder{g.start(g.read()), g.start(g.read()), g.start(g.read())}
				close(gate.open)
				for _, got := range all {
					if w := <-got; w.Code != 200 || w.Body.String() != body || strings.Contains(w.Header().Get("Cache-Status"), "collapsed") {
						t.Errorf("%d with %d bytes, %v", w.Code, w.Body.Len(), w.Header())
					}
				}
				if gate.came.Load() != 3 || g.Cache.Stats().UnderWay != 0 {
					t.Errorf("%d requests upstream; %+v", gate.came.Load(), g.Cache.Stats())
				}
			})
		})
	}
}

func TestReadsWithABodyAreEachTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		gate := g.behind(ok("v"))
		first, second := g.start(g.read("", "x")), g.start(g.read("", "y"))
		close(gate.open)
		<-first
		<-second
		if gate.came.Load() != 2 {
			t.Errorf("%d requests upstream", gate.came.Load())
		}
	})
}

// The first request may wait for its turn and for a connection before it is sent.
func TestAFollowerWaitsAsLongAsAFetchMayTake(t *testing.T) {
	for wait, want := range map[time.Duration]int{dialTimeout: http.StatusOK, 3 * dialTimeout: http.StatusGatewayTimeout} {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t, func(o *Options) { o.MaxWait = time.Second })
			gate := g.behind(ok("v"))
			leader, follower := g.start(g.read()), g.start(g.read())
			<-time.After(upstreamTimeout + time.Second + wait)
			close(gate.open)
			if w := <-follower; w.Code != want {
				t.Errorf("a fetch %v after its timeout: the follower gets %d %s, want %d", wait, w.Code, w.Body, want)
			}
			if w := <-leader; w.Code != http.StatusOK || gate.came.Load() != 1 {
				t.Errorf("the leader gets %d %s after %d requests", w.Code, w.Body, gate.came.Load())
			}
		})
	}
}

func TestOnlyTheLeaderPaysForWhatAsksUpstream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, quota(1, 1), func(o *Options) {
			o.CountUpstream = true
			o.Budget, o.BudgetBy = ratelimit.Quota{Rate: 1, Period: time.Hour, Burst: 1}, "egress"
		})
		gate := g.behind(ok("v"))
		all := []<-chan *httptest.ResponseRecorder{g.start(g.read()), g.start(g.read()), g.start(g.read())}
		close(gate.open)
		for _, got := range all {
			if w := <-got; w.Code != 200 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		}
		charged := 0
		for _, x := range g.exchanges {
			if x.Charged {
				charged++
			}
		}
		if charged != 1 {
			t.Errorf("%d were charged", charged)
		}
	})
}

func TestARefusalBeforeTheFetchIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, func(o *Options) {
			o.Budget, o.BudgetBy, o.MaxWait = ratelimit.Quota{Rate: 1, Period: time.Minute, Burst: 1}, "egress", time.Second
		})
		g.get("one", storePath) // uses up the budget
		leader, follower := g.start(g.read()), g.start(g.read())
		for _, got := range []<-chan *httptest.ResponseRecorder{leader, follower} {
			if w := <-got; w.Code != 429 || codeOf(t, w) != "over-budget" {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		}
		<-time.After(time.Minute)
		if w := g.get("one", keyPath); w.Code != 200 {
			t.Errorf("afterwards: %d %s", w.Code, w.Body)
		}
	})
}

// served returns the number of attempts upstream in all records, and the last record.
func (g *rig) served() (asked int, last record.Exchange) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, x := range g.exchanges {
		asked += x.UpstreamAttempts
	}
	return asked, g.exchanges[len(g.exchanges)-1]
}
