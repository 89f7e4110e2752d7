package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"osgate/record"
)

const caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// tracing gives every exchange a place in its caller's trace or in a new one, and
// records for each whether it may trust the caller.
func tracing(believed *[]bool) func(*Options) {
	return func(o *Options) {
		o.Trace = func(parent record.Trace, trusted bool) record.Trace {
			*believed = append(*believed, trusted)
			if !parent.On() {
				parent.ID = [16]byte{0xaa}
			}
			parent.Span = [8]byte{0xbb}
			parent.Sampled = parent.Sampled && trusted
			return parent
		}
	}
}

// traceparents returns the values that upstream received, and checks that each names
// the attempt in the record.
func (g *rig) traceparents() (got []string) {
	g.t.Helper()
	x := g.last()
	for i, r := range g.sent {
		lines := r.Header["Traceparent"]
		if len(lines) != 1 {
			g.t.Fatalf("request %d has traceparent %q", i, lines)
		}
		if want := fmt.Sprintf("%x", x.Attempts[i].Span); lines[0][36:52] != want {
			g.t.Errorf("request %d is of span %s, recorded as %s", i, lines[0], want)
		}
		got = append(got, lines[0][:36]+lines[0][52:])
	}
	return got
}

func TestEachAttemptIsASpanOfTheCallersTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var believed []bool
		g := newRig(t, tracing(&believed), func(o *Options) { o.MaxWait = 5 * time.Second })
		var headers []http.Header // as the transport got them; it may read them again
		g.upstream = func(r *http.Request) (*http.Response, error) {
			headers = append(headers, r.Header)
			if len(g.sent) < 3 {
				<-time.After(10 * time.Millisecond)
				return reply(http.StatusTooManyRequests, "{}"), nil
			}
			return reply(http.StatusOK, "{}"), nil
		}
		if w := g.get("one", keyPath, "Traceparent: "+caller, "Tracestate: vendor=1"); w.Code != http.StatusOK {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		want := []string{caller[:36] + "-00", caller[:36] + "-00", caller[:36] + "-00"}
		if diff := cmp.Diff(want, g.traceparents()); diff != "" {
			t.Errorf("traceparent (-want +got):\n%s", diff)
		}
		for i, h := range headers {
			if h.Get("Traceparent") != g.sent[i].Header.Get("Traceparent") {
				t.Errorf("the header of request %d was changed after it was sent", i)
			}
		}
		x := g.last()
		spans := [][8]byte{{}, {0xbb}}
		for _, a := range x.Attempts {
			if slices.Contains(spans, a.Span) {
				t.Errorf("attempt %+v has a span that is another's", a)
			}
			spans = append(spans, a.Span)
		}
		first, last := x.Attempts[0], x.Attempts[2]
		if len(x.Attempts) != 3 || first.Status != 429 || first.Duration != 10*time.Millisecond || last.Status != 200 || last.Start < 20*time.Millisecond {
			t.Errorf("attempts: %+v", x.Attempts)
		}
		if g.sent[2].Header.Get("Tracestate") != "vendor=1" || x.Protocol != "1.1" {
			t.Errorf("state %q, protocol %q", g.sent[2].Header.Get("Tracestate"), x.Protocol)
		}
		var way []string
		for s := range x.Timeline.Visits() {
			way = append(way, s.String())
		}
		if text := strings.Join(way, " "); text != "locate identify authorize limit cache forward limit forward limit forward limit forward" {
			t.Errorf("way: %s", text)
		}
	})
}

func TestOnlyTrustedProxiesAreBelievedOnSampling(t *testing.T) {
	for _, trusted := range []bool{false, true} {
		var believed []bool
		g := newRig(t, tracing(&believed), func(o *Options) {
			if trusted {
				o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} // the peer of request
			}
		})
		if w := g.get("one", keyPath, "Traceparent: "+caller, "X-Forwarded-For: 198.51.100.1"); w.Code != http.StatusOK {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		want := caller[:36] + map[bool]string{false: "-00", true: "-01"}[trusted]
		if got := g.traceparents()[0]; got != want || !slices.Equal(believed, []bool{trusted}) {
			t.Errorf("trusted %t: upstream got %s, want %s; believed %v", trusted, got, want, believed)
		}
	}
}

// TestATraceThatCannotBeReadGoesNowhere checks that the gateway starts a new trace,
// without the state of the request.
func TestATraceThatCannotBeReadGoesNowhere(t *testing.T) {
	var believed []bool
	g := newRig(t, tracing(&believed))
	g.get("one", keyPath, "Traceparent: 00-what-ever-01", "Tracestate: vendor=1")
	if got := g.traceparents()[0]; !strings.HasPrefix(got, "00-aa00") || g.sent[0].Header["Tracestate"] != nil {
		t.Errorf("upstream got %q, %q", got, g.sent[0].Header["Tracestate"])
	}
}

func TestWithoutTracingAttemptsAreNoSpansAndTheContextPassesAsItCame(t *testing.T) {
	g := newRig(t)
	g.get("one", keyPath, "Traceparent: "+caller, "Tracestate: vendor=1")
	if h := g.sent[0].Header; h.Get("Traceparent") != caller || h.Get("Tracestate") != "vendor=1" {
		t.Errorf("upstream got %v", h)
	}
	if x := g.last(); x.Trace.On() || len(x.Attempts) != 1 || x.Attempts[0].Span != [8]byte{} {
		t.Errorf("kept: %+v, %+v", x.Trace, x.Attempts)
	}
}

func TestWhyAnAttemptGotNoAnswerIsAWordOutOfAList(t *testing.T) {
	for want, err := range map[string]error{
		"canceled": fmt.Errorf("sending: %w", context.Canceled), "timeout": context.DeadlineExceeded, "name_resolution": &net.DNSError{Name: "a-name"},
		"connection_refused": &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, "connection_reset": &net.OpError{Op: "read", Err: syscall.ECONNRESET},
		"_OTHER": errors.New("a text not to be told"),
	} {
		if got := errorType(err); got != want {
			t.Errorf("%v is %q, want %q", err, got, want)
		}
	}
	var believed []bool
	g := newRig(t, tracing(&believed))
	g.upstream = func(*http.Request) (*http.Response, error) { return nil, syscall.ECONNREFUSED }
	g.get("one", keyPath)
	if a := g.last().Attempts; len(a) != 1 || a[0].Error != "connection_refused" || a[0].Status != 0 {
		t.Errorf("attempts: %+v", a)
	}
}
