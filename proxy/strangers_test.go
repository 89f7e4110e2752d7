package proxy

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"osgate/auth"
	"osgate/internal/memnet"
)

// flood opens connections, each of which sends head and stays open, and waits until the
// gateway has read all heads.
func flood(t *testing.T, l *memnet.Listener, n int, head string) {
	t.Helper()
	for range n {
		dial(t, l).send(head)
	}
	synctest.Wait()
}

// from makes g take the address of a client from X-Forwarded-For.
func from(g *rig) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a := r.Header.Get("X-Forwarded-For"); a != "" {
			r.RemoteAddr = a
		}
		g.ServeHTTP(w, r)
	})
}

// TestAClientWithAKnownTokenIsServedWhileStrangersHoldAllTheirSlots checks this for
// each way in which strangers can hold them.
func TestAClientWithAKnownTokenIsServedWhileStrangersHoldAllTheirSlots(t *testing.T) {
	for name, tt := range map[string]struct {
		head     string
		accounts bool
		held     int
	}{
		"logins without a body":    {loginHead + "X-Forwarded-For: %s:1\r\n" + bodyOf10 + "{", true, 48},
		"logins that are refused":  {loginHead + "X-Forwarded-For: %s:1\r\n" + bodyOf10 + "{", false, 0},
		"tokens that are asked of": {keyHead[:strings.Index(keyHead, "one")] + "slow\r\nX-Forwarded-For: %s:1\r\n\r\n", true, 48},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t, func(o *Options) { o.MaxExchanges, o.Accounts = 64, tt.accounts })
				g.recalled = map[string]auth.TokenState{"one": auth.Fresh, "stale": auth.Stale}
				g.waits = func(token auth.Token) {
					if token.Header() == "Bearer slow" {
						<-time.After(4 * time.Second)
					}
				}
				l := serveFake(t, from(g))
				for i := range 100 {
					flood(t, l, 1, fmt.Sprintf(tt.head, fmt.Sprintf("192.0.2.%d", i)))
				}
				if held, _ := g.serving.counts(); held != [2]int{tt.held, 0} {
					t.Errorf("slots held %v, want %d by strangers", held, tt.held)
				}
				for _, token := range []string{"one", "stale"} {
					if w := g.get(token, keyPath); w.Code != http.StatusOK {
						t.Errorf("a client with a known token (%s) got %d %s", token, w.Code, w.Body)
					}
				}
			})
		})
	}
}

func TestOneAddressCannotHoldTheSlotsOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, func(o *Options) { o.MaxExchanges = 64 }) // four for each address
		l := serveFake(t, from(g))
		for i := range 20 { // all of one network
			flood(t, l, 1, loginHead+fmt.Sprintf("X-Forwarded-For: [2001:db8::%x]:1\r\n", i)+bodyOf10+"{")
		}
		if held, refused := g.serving.counts(); held[unidentified] != 4 || refused[shortOfAddress] != 16 {
			t.Errorf("one network holds %v, refused %v; want 4 and 16", held, refused)
		}
		x := g.exchanges[0]
		if x.Status != http.StatusTooManyRequests || x.Code != "over-quota" {
			t.Errorf("record: %d %s, want 429 over-quota", x.Status, x.Code)
		}
		g.upstream = func(*http.Request) (*http.Response, error) { return reply(200, "{}"), nil }
		r := request(t, "POST /accounts/login", "", "{}")
		if w := g.do(r); w.Code != 200 {
			t.Errorf("another address got %d %s", w.Code, w.Body)
		}
	})
}

func TestARefusalForWantOfSlotsSaysWhy(t *testing.T) {
	g := newRig(t, func(o *Options) { o.MaxExchanges = 16 })
	login := func() (int, string, string) {
		w := g.do(request(t, "POST /accounts/login", "", "{}"))
		return w.Code, codeOf(t, w), w.Header().Get("Retry-After")
	}
	check := func(want int, code string) {
		t.Helper()
		if got, c, retry := login(); got != want || c != code || retry != "1" {
			t.Errorf("got %d %s, Retry-After %q; want %d %s", got, c, retry, want, code)
		}
	}
	mine, _ := g.serving.take(unidentified, "192.0.2.7")
	check(429, "over-quota")
	mine.free()
	all, _ := takeAll(g.serving, unidentified, otherAddresses)
	check(503, "overloaded")
	if w := g.get("two", keyPath); w.Code != 503 || codeOf(t, w) != "overloaded" {
		t.Errorf("a token that is not known got %d", w.Code)
	}
	all[0].free()
	if w := g.get("two", keyPath); w.Code != 200 {
		t.Errorf("with room again: %d", w.Code)
	}
}

func TestAnAccessManagementBodyIsBoundedInTimeAndSize(t *testing.T) {
	const large = 65 << 10
	for _, version := range []int{1, 2} {
		for name, tt := range map[string]struct {
			body   func() io.Reader
			bytes  int64
			status int
			within time.Duration
		}{
			"one byte, and no more": {func() io.Reader { return newTrickle([]byte("{"), 99, time.Hour) }, 100, 408, callBodyTime},
			"one byte a second":     {func() io.Reader { return newTrickle([]byte("{"), 99, time.Second) }, 100, 408, callBodyTime},
			"large":                 {func() io.Reader { return bytes.NewReader(make([]byte, large)) }, large, 413, 0},
			"large, not declared":   {func() io.Reader { return io.MultiReader(bytes.NewReader(make([]byte, large))) }, -1, 413, 0},
		} {
			t.Run(fmt.Sprintf("HTTP/%d %s", version, name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := newRig(t)
					g.upstream = func(*http.Request) (*http.Response, error) {
						t.Error("it was sent on")
						return reply(200, ""), nil
					}
					client := fakeClient(t, serveFake(t, g), version)
					r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://memory/accounts/login", tt.body())
					r.Host, r.ContentLength = host, tt.bytes
					defer func() { _ = r.Body.Close() }() // the HTTP/1 client continues to read
					began := time.Now()
					answer, err := client.Do(r)
					if err != nil {
						t.Fatal(err)
					}
					_ = answer.Body.Close()
					if took := time.Since(began); answer.StatusCode != tt.status || took > tt.within+time.Second {
						t.Errorf("status %d after %v, want %d within %v", answer.StatusCode, took, tt.status, tt.within)
					}
					client.CloseIdleConnections()
					<-time.After(lingerTime)
				})
			})
		}
	}
}

// stream is a connection of HTTP/2 that the test drives by hand, and whose client opens
// no window for answers.
type stream struct {
	*http2.Framer
	t *testing.T
}

// dialClosed opens a connection of HTTP/2 on which no body may be sent to the client.
// Frames that arrive are read and dropped.
func dialClosed(t *testing.T, l *memnet.Listener) *stream {
	t.Helper()
	c, err := l.Dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	s := &stream{http2.NewFramer(c, c), t}
	go func() {
		for {
			f, err := s.ReadFrame()
			if err != nil {
				return
			}
			_ = f
		}
	}()
	if err := s.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}); err != nil {
		t.Fatal(err)
	}
	return s
}

// ask sends a request without a body.
func (s *stream) ask(id uint32, method, path string, headers ...string) {
	s.t.Helper()
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	fields := append([]string{":method", method, ":scheme", "http", ":authority", host, ":path", path}, headers...)
	for i := 0; i < len(fields); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}) // writes to memory
	}
	if err := s.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true}); err != nil {
		s.t.Errorf("sending a request: %v", err)
	}
}

// TestAClientThatTakesNoAnswerHoldsASlotForAWhile checks that the slots are free after
// that time. A goroutine that remains would keep the bubble from ending.
func TestAClientThatTakesNoAnswerHoldsASlotForAWhile(t *testing.T) {
	for name, tt := range map[string]struct {
		method, path string
		serving      int
		lingering    int
		lasts        time.Duration
	}{
		"refused":           {"GET", "/nowhere", 0, 40, refusalTime},
		"access management": {"GET", "/accounts/api/me", 40, 40, callAnswerTime}, // the rest of an address is refused
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t, func(o *Options) { o.MaxExchanges = 640 }) // 40 for each address, and 40 refused ones
				g.upstream = func(*http.Request) (*http.Response, error) { return reply(200, `{"user":{}}`), nil }
				s := dialClosed(t, serveFake(t, g))
				for i := range 100 {
					s.ask(uint32(2*i+1), tt.method, tt.path)
				}
				synctest.Wait()
				serving, _ := g.serving.counts()
				lingering, refused := g.lingering.counts()
				if serving[unidentified] != tt.serving || lingering[unidentified] != tt.lingering {
					t.Errorf("slots held %v, lingering %v, refused %v", serving, lingering, refused)
				}
				<-time.After(tt.lasts)
				synctest.Wait()
				serving, _ = g.serving.counts()
				lingering, _ = g.lingering.counts()
				if serving != [2]int{} || lingering != [2]int{} {
					t.Errorf("after %v: slots held %v, lingering %v", tt.lasts, serving, lingering)
				}
			})
		})
	}
}

func TestACallerIsNoStrangerOnceItIsIdentified(t *testing.T) {
	g := newRig(t)
	var held [2]int
	g.upstream = func(*http.Request) (*http.Response, error) {
		held, _ = g.serving.counts()
		return reply(200, "{}"), nil
	}
	if g.get("one", keyPath); held != [2]int{unidentified: 0, identified: 1} {
		t.Errorf("an identified caller's exchange holds %v", held)
	}
	if g.do(request(t, "GET /accounts/api/me", "Authorization: Bearer one")); held != [2]int{unidentified: 1, identified: 0} {
		t.Errorf("an Access Management call holds %v", held)
	}
	if held, _ := g.serving.counts(); held != [2]int{} {
		t.Errorf("behind them %v is held", held)
	}
}
