package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"osgate/record"
)

// hostileRig returns a rig whose upstream is hostile.
func hostileRig(t *testing.T, fails failure) (*rig, *hostile) {
	t.Helper()
	h, trust := newHostile(t, fails)
	transport := NewTransport(TransportOptions{Roots: trust.RootCAs})
	base := &url.URL{Scheme: "https", Host: h.listener.Addr().String()}
	return newRig(t, func(o *Options) { o.Override, o.Transport = base, transport }), h
}

// requestsOfAllKinds are the ways in which a request may go upstream, by name, each
// with the largest number of sendings that it may take.
var requestsOfAllKinds = map[string]struct {
	head string
	body string
	most int32
}{
	"read":              {head: "GET " + keyPath, most: pooledSendings + 1},
	"head":              {head: "HEAD " + keyPath, most: pooledSendings + 1},
	"confirmable read":  {head: "GET " + keyPath + "?confirmable=true", most: 1},
	"delete":            {head: "DELETE " + keyPath, most: 1},
	"put":               {head: "PUT " + keyPath, body: "{}", most: 1},
	"put, long":         {head: "PUT " + keyPath, body: strings.Repeat("x", 2*keptBody), most: 1},
	"post":              {head: "POST " + keyPath, body: "{}", most: 1},
	"patch":             {head: "PATCH " + storePath, body: "{}", most: 1},
	"me":                {head: "GET /us/accounts/api/me", most: pooledSendings + 1},
	"a token is minted": {head: "POST /us/accounts/oauth2/token", body: "grant_type=client_credentials", most: 1},
}

// TestNoFailureOfUpstreamRepeatsARequest has an upstream that offers HTTP/2 and fails
// requests in each way after which net/http's HTTP/2 client would send them again.
func TestNoFailureOfUpstreamRepeatsARequest(t *testing.T) {
	reset := func(code http2.ErrCode) func(*http2.Framer, uint32) bool {
		return func(f *http2.Framer, stream uint32) bool { _ = f.WriteRSTStream(stream, code); return false }
	}
	goAway := func(code http2.ErrCode, handled bool) func(*http2.Framer, uint32) bool {
		return func(f *http2.Framer, stream uint32) bool {
			last := uint32(0)
			if handled {
				last = stream
			}
			_ = f.WriteGoAway(last, code, nil)
			return true
		}
	}
	closes := func(net.Conn, *http.Request) {}
	for name, fails := range map[string]failure{
		"RST_STREAM PROTOCOL_ERROR":    {reset(http2.ErrCodeProtocol), closes},
		"RST_STREAM REFUSED_STREAM":    {reset(http2.ErrCodeRefusedStream), closes},
		"RST_STREAM ENHANCE_YOUR_CALM": {reset(http2.ErrCodeEnhanceYourCalm), closes},
		"GOAWAY, none handled":         {goAway(http2.ErrCodeNo, false), closes},
		"GOAWAY, this one handled":     {goAway(http2.ErrCodeNo, true), closes},
		"the connection is closed":     {func(*http2.Framer, uint32) bool { return true }, closes},
		"half an answer": {func(*http2.Framer, uint32) bool { return true }, func(c net.Conn, r *http.Request) {
			_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, keptBody))
			_, _ = io.WriteString(c, "HTTP/1.1 2")
		}},
	} {
		for kind, send := range requestsOfAllKinds {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				g, h := hostileRig(t, fails)
				lines := []string{"Authorization: Bearer one", "Idempotency-Key: 1", "X-Idempotency-Key: 1"}
				if send.body != "" {
					lines = append(lines, "", send.body)
				}
				w := g.do(request(t, send.head, lines...))
				if w.Code != http.StatusBadGateway && w.Code != http.StatusServiceUnavailable {
					t.Errorf("status %d: %s", w.Code, w.Body)
				}
				if got := h.headers.Load(); got < 1 || got > send.most || h.streams.Load() != 0 {
					t.Errorf("sent %d times, want at most %d; %d connections of HTTP/2", got, send.most, h.streams.Load())
				}
			})
		}
	}
}

// TestDeadConnectionsCostAReadThreeSendingsAndAWriteOne checks requests while every
// kept connection dies with the next request on it.
func TestDeadConnectionsCostAReadThreeSendingsAndAWriteOne(t *testing.T) {
	const kept = 8
	for kind, send := range requestsOfAllKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			var used sync.Map // addresses of kept connections
			var all sync.WaitGroup
			all.Add(kept)
			g, _ := socketRig(t, func(_ http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.RequestURI, "warm") {
					used.Store(r.RemoteAddr, true)
					all.Done()
					all.Wait() // so that each request has its own connection
					return
				}
				asked.Add(1)
				if _, kept := used.Load(r.RemoteAddr); kept {
					panic(http.ErrAbortHandler)
				}
			})
			var warm sync.WaitGroup
			for range kept {
				warm.Go(func() {
					g.do(request(t, "PUT "+storePath+"/partitions/p/keys/warm", "Authorization: Bearer one", "", "{}"))
				})
			}
			warm.Wait()
			lines := []string{"Authorization: Bearer one"}
			if send.body != "" {
				lines = append(lines, "", send.body)
			}
			w := g.do(request(t, send.head, lines...))
			reads := send.most > 1
			if got := asked.Load(); got != send.most {
				t.Errorf("sent %d times, want %d", got, send.most)
			}
			if confirmable := strings.Contains(send.head, "confirmable"); (w.Code == http.StatusOK) != (reads || confirmable) {
				t.Errorf("status %d: %s", w.Code, w.Body)
			}
			if got := g.last().UpstreamAttempts; got != int(send.most) {
				t.Errorf("%d attempts recorded, want %d", got, send.most)
			}
			if got := g.last().UpstreamResent; got != int(send.most)-1 {
				t.Errorf("%d sendings recorded as repeated, want %d", got, send.most-1)
			}
			if x := g.last(); (x.UpstreamError == record.KeptConnectionClosed) != (w.Code >= 500) {
				t.Errorf("status %d, recorded as %q", w.Code, x.UpstreamError)
			}
		})
	}
}

// TestASendingIsRefusedBeforeItIsOneTooMany checks the rule without a transport.
func TestASendingIsRefusedBeforeItIsOneTooMany(t *testing.T) {
	for _, tt := range []struct {
		once    bool
		written []int32 // value before each try
		refused error   // error of the last try
	}{
		{once: false, written: []int32{0}},
		{once: false, written: []int32{0, 1}},
		{once: false, written: []int32{0, 1, 2}, refused: errTooOften},
		{once: true, written: []int32{0}},
		{once: true, written: []int32{0, 0}}, // the connection died before a request was written to it
		{once: true, written: []int32{0, 1}, refused: errNotTwice},
		{once: true, written: []int32{0, 0, 0}, refused: errTooOften},
	} {
		s := &sending{once: tt.once, maxTries: pooledSendings}
		var err error
		for _, n := range tt.written {
			s.written.Store(n)
			err = s.countTry()
		}
		if !errors.Is(err, tt.refused) || (err == nil) != (tt.refused == nil) {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}

// TestConnectionsThatNeverComeCostUpstreamsTime checks that the time limit of upstream
// includes the time before a connection exists, and that the region's breaker receives
// the reason.
func TestConnectionsThatNeverComeCostUpstreamsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		never := func(context.Context, string, string) (net.Conn, error) {
			<-time.After(dialTimeout)
			return nil, errors.New("no connection")
		}
		transport := NewTransport(TransportOptions{Timeout: 2 * time.Second, Dial: never})
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://upstream", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		answer, err := transport.Shared.RoundTrip(r)
		if err == nil {
			_ = answer.Body.Close()
		}
		if took := time.Since(start); took != 2*time.Second || !errors.Is(err, errNoConnection) || !connectTimedOut(err) || errorType(err) != "timeout" {
			t.Errorf("after %v: %v", took, err)
		}
		<-time.After(dialTimeout) // net/http continues to dial for the next request
	})
}
