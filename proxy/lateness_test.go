package proxy

import (
	"io"
	"net/http"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"osgate/internal/memnet"
)

// bubble runs test in fake time with an upstream in memory: all connections, whatever
// their address, go to it.
func bubble(t *testing.T, upstream http.HandlerFunc, test func(t *testing.T, g *rig), change ...func(*Options)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := memnet.Listen()
		server := &http.Server{Handler: upstream}
		go func() { _ = server.Serve(l) }() // ends with Close
		transport := NewTransport(TransportOptions{Timeout: 30 * time.Second, Dial: l.Dial})
		g := newRig(t, append(change, func(o *Options) { o.Transport = transport })...)
		test(t, g)
		closeIdle(transport)
		_ = server.Close()
	})
}

// closeIdle closes the idle connections of a Transport.
func closeIdle(t Transport) {
	t.Shared.(*bounded).CloseIdleConnections() //nolint:errcheck // NewTransport returns no other type
}

func TestAnUpstreamThatDoesNotAnswerIsLate(t *testing.T) {
	bubble(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, func(t *testing.T, g *rig) {
		start := time.Now()
		w := g.get("one", keyPath)
		if took := time.Since(start); w.Code != 504 || codeOf(t, w) != "upstream-timeout" || took != 30*time.Second {
			t.Errorf("%d %s after %v", w.Code, w.Body, took)
		}
	})
}

func TestABodyThatStandsStillIsGivenUp(t *testing.T) {
	bubble(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "10")
		_, _ = io.WriteString(w, "12345")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}, func(t *testing.T, g *rig) {
		start := time.Now()
		w := g.get("one", keyPath)
		if took := time.Since(start); w.Code != 504 || codeOf(t, w) != "upstream-timeout" || took != idleTimeout || g.last().UpstreamError != "timeout" {
			t.Errorf("%d %s after %v: %+v", w.Code, w.Body, took, g.last())
		}
	})
}

func TestASlowBodyThatMovesIsNot(t *testing.T) {
	bubble(t, func(w http.ResponseWriter, _ *http.Request) {
		for range 10 {
			_, _ = io.WriteString(w, "x")
			_ = http.NewResponseController(w).Flush()
			<-time.After(idleTimeout - time.Second)
		}
	}, func(t *testing.T, g *rig) {
		if w := g.get("one", keyPath); w.Code != 200 || w.Body.String() != "xxxxxxxxxx" || g.last().Aborted {
			t.Errorf("%d %s %+v", w.Code, w.Body, g.last())
		}
	})
}

func TestServerTimingTellsTheStages(t *testing.T) {
	g := newRig(t, func(o *Options) { o.ServerTiming = true })
	form := regexp.MustCompile(`^locate;dur=\d+\.\d{3}(, [a-z]+;dur=\d+\.\d{3})+$`)
	if got := g.get("one", keyPath).Header().Get("Server-Timing"); !form.MatchString(got) || newRig(t).get("one", keyPath).Header().Get("Server-Timing") != "" {
		t.Errorf("Server-Timing %q", got)
	}
}
