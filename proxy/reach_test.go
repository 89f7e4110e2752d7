package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"osgate/regionmap"
)

// swallow is an upstream that answers no connection: the dialer gives up after its
// timeout.
func swallow(r *http.Request) (*http.Response, error) {
	select {
	case <-time.After(dialTimeout):
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// answering returns an upstream that answers 200 with body.
func answering(body string) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) { return reply(http.StatusOK, body), nil }
}

// loses makes requests fail until the breaker of the rig's region opens, and then sets
// upstream's answers.
func (g *rig) loses(answers func(*http.Request) (*http.Response, error)) {
	g.t.Helper()
	g.upstream = swallow
	for range 5 {
		if w := g.get("one", keyPath+"9"); w.Code != http.StatusGatewayTimeout {
			g.t.Fatalf("%d %s, want 504 while nobody knows", w.Code, w.Body)
		}
	}
	g.upstream = answers
	g.sent = nil
}

// refusesAtOnce fails the test unless a request is refused at once and without a
// request upstream.
func (g *rig) refusesAtOnce(target string) {
	g.t.Helper()
	sent, start := len(g.sent), time.Now()
	w := g.get("one", target)
	if w.Code != http.StatusBadGateway || codeOf(g.t, w) != "upstream-unreachable" || time.Since(start) != 0 || len(g.sent) != sent ||
		!strings.HasPrefix(w.Header().Get("Proxy-Status"), "osgate; error=destination_unavailable;") {
		g.t.Errorf("%d %s %v after %v, %d sent; want 502 at once", w.Code, w.Body, w.Header(), time.Since(start), len(g.sent)-sent)
	}
}

func TestARegionThatSwallowsConnectionsIsAskedByOneRequestAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		g := newRig(t, func(o *Options) {
			o.RegionChanged = func(s regionmap.ReachState) { told = append(told, s.Location.String()+" "+s.Breaker) }
		})
		g.loses(swallow)
		g.refusesAtOnce(keyPath)
		<-time.After(time.Second)
		probed := make(chan int)
		go func() { probed <- g.get("one", keyPath).Code }()
		synctest.Wait()
		g.refusesAtOnce(keyPath + "2")
		if code := <-probed; code != http.StatusGatewayTimeout || len(g.sent) != 1 {
			t.Errorf("the probe: %d, %d sent", code, len(g.sent))
		}
		g.upstream = answering("back")
		<-time.After(2 * time.Second)
		for range 3 {
			if w := g.get("one", keyPath); w.Code != http.StatusOK {
				t.Errorf("%d %s after the region is back", w.Code, w.Body)
			}
		}
		if want := []string{"us/us-east-1 open", "us/us-east-1 closed"}; !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
		if got := g.RegionStates(); len(got) != 1 || !got[0].OK || !strings.Contains(got[0].LastError, "dial tcp") {
			t.Errorf("%+v", got)
		}
	})
}

func TestOtherRegionsAreAskedWhileOneIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.loses(answering("here"))
		g.refusesAtOnce(keyPath)
		r := request(t, "GET "+keyPath, "Authorization: Bearer one")
		r.Host = regionmap.Host(regionmap.Location{Plane: "us", Region: "us-west-2"})
		if w := g.do(r); w.Code != http.StatusOK {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

// TestRegionThatFailsWithoutDelayIsTriedEachTime also covers an upstream that
// connects and answers late: the operation may be the reason.
func TestRegionThatFailsWithoutDelayIsTriedEachTime(t *testing.T) {
	for name, failure := range map[string]error{
		"refused":      &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED},
		"unknown name": &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", IsNotFound: true}},
		"reset":        &net.OpError{Op: "read", Err: syscall.ECONNRESET},
		"late":         &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			g.upstream = func(*http.Request) (*http.Response, error) { return nil, failure }
			for range 20 {
				g.get("one", keyPath)
			}
			if len(g.sent) != 20 {
				t.Errorf("%d of 20 sent", len(g.sent))
			}
		})
	}
}

// TestAnOperationThatIsSlowKeepsNobodyOut has a probe that gets a connection and then
// waits long for its answer.
func TestAnOperationThatIsSlowKeepsNobodyOut(t *testing.T) {
	for name, connection := range map[string]struct {
		reused bool
		want   int
	}{
		"over a new connection":              {want: http.StatusOK},
		"over one that may have died before": {reused: true, want: http.StatusBadGateway},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t)
				g.loses(func(r *http.Request) (*http.Response, error) {
					if s := sendingOf(r.Context()); s != nil {
						s.gotConn(httptrace.GotConnInfo{Reused: connection.reused})
						<-time.After(20 * time.Second)
					}
					return reply(http.StatusOK, "v"), nil
				})
				<-time.After(time.Second)
				probed := make(chan int)
				go func() { probed <- g.get("one", keyPath).Code }()
				synctest.Wait()
				if w := g.get("one", keyPath+"2"); w.Code != connection.want {
					t.Errorf("%d while the probe waits for its answer, want %d", w.Code, connection.want)
				}
				if code := <-probed; code != http.StatusOK {
					t.Errorf("the probe: %d", code)
				}
				if w := g.get("one", keyPath+"3"); w.Code != http.StatusOK {
					t.Errorf("%d after the probe's answer", w.Code)
				}
			})
		})
	}
}

func TestAProbeWhoseClientLeavesGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.loses(swallow)
		<-time.After(time.Second)
		ctx, leave := context.WithTimeout(t.Context(), 3*time.Second)
		defer leave()
		g.do(request(t, "GET "+keyPath, "Authorization: Bearer one").WithContext(ctx))
		g.refusesAtOnce(keyPath)
		g.upstream = answering("back")
		<-time.After(2 * time.Second)
		if w := g.get("one", keyPath); w.Code != http.StatusOK {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

func TestAProbeThatFailsAtOnceLetsTheOthersAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.loses(func(*http.Request) (*http.Response, error) {
			return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
		})
		<-time.After(time.Second)
		g.get("one", keyPath)
		g.get("one", keyPath)
		if len(g.sent) != 2 {
			t.Errorf("%d of 2 sent: it keeps nobody waiting", len(g.sent))
		}
	})
}

func TestAWriteToARegionThatIsGoneMarksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.loses(swallow)
		marks := g.Cache.Stats().Marks
		if w := g.do(request(t, "PUT "+keyPath, "Authorization: Bearer one", "", "v")); w.Code != http.StatusBadGateway || g.Cache.Stats().Marks != marks {
			t.Errorf("%d, %d marks", w.Code, g.Cache.Stats().Marks-marks)
		}
	})
}

func TestStaleEntryIsServedWhileARegionIsUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, staleness(t, 0, 40*time.Second))
		g.get("one", keyPath)
		g.loses(swallow) // 25 s: the answer is no longer fresh
		start := time.Now()
		if w := g.get("one", keyPath); w.Code != http.StatusOK || w.Body.String() != "v1" || time.Since(start) != 0 || len(g.sent) != 0 {
			t.Errorf("%d %s after %v, %d sent", w.Code, w.Body, time.Since(start), len(g.sent))
		}
	})
}

// TestTheTransportTellsConnectionsThatDoNotComeAbout checks connectTimedOut with the
// errors that net/http returns.
func TestTheTransportTellsConnectionsThatDoNotComeAbout(t *testing.T) {
	mute, err := net.Listen("tcp", "127.0.0.1:0") // accepts connections and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = mute.Close() }()
	late := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	late.Config.ErrorLog = silent
	late.StartTLS()
	defer late.Close()
	const soon = 20 * time.Millisecond
	for name, tt := range map[string]struct {
		transport *http.Transport
		address   string
		want      bool
	}{
		"dialing": {
			transport: &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{Timeout: time.Nanosecond}).DialContext(ctx, network, mute.Addr().String())
			}},
			address: mute.Addr().String(), want: true,
		},
		"handshake": {transport: &http.Transport{TLSHandshakeTimeout: soon}, address: mute.Addr().String(), want: true},
		"answer": {
			transport: &http.Transport{ResponseHeaderTimeout: soon, TLSClientConfig: late.Client().Transport.(*http.Transport).TLSClientConfig}, //nolint:errcheck // it is one
			address:   late.Listener.Addr().String(),
		},
		"certificate": {transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}, address: late.Listener.Addr().String()},
	} {
		t.Run(name, func(t *testing.T) {
			defer tt.transport.CloseIdleConnections()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+tt.address, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := tt.transport.RoundTrip(r)
			if err == nil {
				_ = answer.Body.Close()
				t.Fatal("it answers")
			}
			if got := connectTimedOut(err); got != tt.want {
				t.Errorf("%t for %v, want %t", got, err, tt.want)
			}
		})
	}
	if connectTimedOut(errors.New("the client left")) {
		t.Error("any error does")
	}
}
