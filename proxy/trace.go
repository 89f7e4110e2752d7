package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"osgate/record"
)

// trace sets the trace context of x, if tracing is on. It continues the trace of any
// client; Trace decides whether to respect the client's sampled flag.
func (p *Proxy) trace(x *exchange, peer netip.Addr) {
	if p.Trace == nil {
		return
	}
	parent, _ := record.ReadTrace(x.r.Header)
	x.rec.Trace = p.Trace(parent, isTrusted(p.TrustedProxies, peer))
}

// isTrusted reports whether a is a trusted proxy.
func isTrusted(trusted []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(a) })
}

// beginAttempt begins an attempt to send r. With tracing the attempt has a span of its
// own, and the traceparent of r names it; without, the client's own trace context is
// forwarded unchanged.
func (x *exchange) beginAttempt(r *http.Request) (a record.Attempt) {
	x.rec.UpstreamAttempts++
	x.sent = time.Now()
	a = record.Attempt{Start: x.sent.Sub(x.rec.Start)}
	if !x.rec.Trace.On() {
		return a
	}
	a.Span = newSpan()
	if x.rec.UpstreamAttempts > 1 {
		r.Header = maps.Clone(r.Header) // the transport may still read that of the previous attempt
	}
	r.Header[record.Traceparent] = []string{x.rec.Trace.Text(a.Span)}
	return a
}

// endAttempt records the end of an attempt, with the number of connections that its
// header was written to, which may be 0.
func (x *exchange) endAttempt(a record.Attempt, s *sending, answer *http.Response, err error) {
	a.Duration = time.Since(x.sent)
	resent := max(0, int(s.written.Load())-1)
	x.rec.UpstreamAttempts += resent
	x.rec.UpstreamResent += resent
	a.Resend = x.rec.UpstreamAttempts - 1
	if err != nil {
		a.Error = errorType(err)
		if s.reused.Load() && (a.Error == "connection_reset" || a.Error == "_OTHER") {
			a.Error = record.KeptConnectionClosed
		}
	} else {
		a.Status = answer.StatusCode
	}
	x.rec.UpstreamDuration += a.Duration
	x.rec.UpstreamError = a.Error
	x.rec.AddAttempt(a)
}

// traceContext replaces the client's trace context in out by ours: each attempt sets
// its own traceparent.
func (x *exchange) traceContext(out http.Header) {
	if !x.rec.Trace.On() {
		return
	}
	delete(out, record.Traceparent)
	delete(out, record.Tracestate)
	if state := x.rec.Trace.State; state != "" {
		out[record.Tracestate] = []string{state}
	}
}

// newSpan returns a span id: any number but zero.
func newSpan() (id [8]byte) {
	for id == [8]byte{} {
		n := rand.Uint64() //nolint:gosec // an id must be unique, not secret
		for i := range id {
			id[i] = byte(n >> (8 * i))
		}
	}
	return id
}

// errorType returns why a request has no answer, as one of a closed list of names.
func errorType(err error) string {
	var late interface{ Timeout() bool }
	_, unresolved := errors.AsType[*net.DNSError](err)
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.As(err, &late) && late.Timeout():
		return "timeout"
	case unresolved:
		return "name_resolution"
	case untrusted:
		return "certificate"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection_refused"
	case errors.Is(err, syscall.ECONNRESET):
		return "connection_reset"
	}
	return "_OTHER" // the name in the semantic conventions for any other error
}
