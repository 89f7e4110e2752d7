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

// trace finds x's place in a trace, if anybody traces. The caller's trace goes on, whoever it is; what it says of sampling is for Trace to believe or not.
func (p *Proxy) trace(x *exchange, peer netip.Addr) {
	if p.Trace == nil {
		return
	}
	parent, _ := record.ReadTrace(x.r.Header)
	x.rec.Trace = p.Trace(parent, believed(p.TrustedProxies, peer))
}

// believed reports whether a is a proxy whose word of others counts.
func believed(trusted []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(a) })
}

// try begins an attempt to send r. With a trace, it is a span of its own, and r says so; without, the client's own trace context passes as it came.
func (x *exchange) try(r *http.Request) (a record.Attempt) {
	x.rec.UpstreamAttempts++
	x.sent = time.Now()
	a = record.Attempt{Start: x.sent.Sub(x.rec.Start)}
	if !x.rec.Trace.On() {
		return a
	}
	a.Span = newSpan()
	if x.rec.UpstreamAttempts > 1 {
		r.Header = maps.Clone(r.Header) // the transport may still look at that of the attempt before
	}
	r.Header[record.Traceparent] = []string{x.rec.Trace.Text(a.Span)}
	return a
}

// tried notes the end of an attempt that was written to so many connections; none where it came to no connection.
func (x *exchange) tried(a record.Attempt, way *sending, answer *http.Response, err error) {
	a.Duration = time.Since(x.sent)
	resent := max(0, int(way.written.Load())-1)
	x.rec.UpstreamAttempts += resent
	x.rec.UpstreamResent += resent
	a.Resend = x.rec.UpstreamAttempts - 1
	if err != nil {
		a.Error = kind(err)
		if way.kept.Load() && (a.Error == "connection_reset" || a.Error == "_OTHER") {
			a.Error = record.KeptConnectionClosed
		}
	} else {
		a.Status = answer.StatusCode
	}
	x.rec.UpstreamDuration += a.Duration
	x.rec.UpstreamError = a.Error
	x.rec.Tried(a)
}

// traceContext makes out's trace context ours: a caller's traceparent is not its upstream's, and each attempt gets its own.
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

// newSpan returns the id of a span: any number but zero.
func newSpan() (id [8]byte) {
	for id == [8]byte{} {
		n := rand.Uint64() //nolint:gosec // an id must be unique, not secret
		for i := range id {
			id[i] = byte(n >> (8 * i))
		}
	}
	return id
}

// kind is the word for why a request got no answer, out of a closed list.
func kind(err error) string {
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
	return "_OTHER" // the semantic conventions' word for all else
}
