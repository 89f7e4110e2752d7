package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"

	"osgate/internal/retryafter"
	"osgate/record"
	"osgate/regionmap"
)

// keptBody is the largest request body, in bytes, that is kept to be sent again, and
// the largest 429 that is kept while its request waits.
const keptBody = 64 << 10

// attempts sends one exchange upstream: it chooses the transport, measures the time,
// and repeats a request that upstream refused with 429 when its turn comes. It is
// between ReverseProxy and net/http, whose transport must not receive ReverseProxy's
// hook for informational answers: they would be copied to the client
// (golang.org/issue/81319).
type attempts struct {
	proxy    *Proxy
	exchange *exchange
	kept     []byte        // the request body, if it is short enough to be sent again
	renewed  bool          // the gateway's own token was replaced after a 401
	elapsed  time.Duration // upstream's time in the earlier attempts of this request
	first    sending       // of the first attempt, which is nearly always the only one
}

// RoundTrip implements [http.RoundTripper]. It repeats a request only after a 429, and
// once after a 401 for the gateway's own token, because such a request was not processed.
func (a *attempts) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := a.bufferBody(r); err != nil {
		return nil, err
	}
	for {
		answer, err := a.send(r)
		if err == nil && a.renewOwnToken(r, answer) {
			continue
		}
		if err != nil || answer.StatusCode != http.StatusTooManyRequests || !a.exchange.objectStore() {
			return answer, err
		}
		if again, err := a.awaitResend(r, answer); !again {
			return answer, err
		}
	}
}

// renewOwnToken handles an upstream 401 for the gateway's own token. It gets a new token
// for r and reports whether r has to be sent again: once, because a request refused
// with 401 was not processed.
func (a *attempts) renewOwnToken(r *http.Request, answer *http.Response) (again bool) {
	x := a.exchange
	if !x.brokered() || answer.StatusCode != http.StatusUnauthorized {
		return false
	}
	tokens := a.proxy.Brokering.Tokens
	tokens.Refused(x.location.Plane, x.token)
	if a.renewed || r.Body != nil && r.Body != http.NoBody && a.kept == nil {
		return false
	}
	a.renewed = true
	token, err := tokens.Token(r.Context(), x.location.Plane)
	if err != nil || a.proxy.chargeBudget(x) != nil {
		return false
	}
	x.token = token
	r.Header = maps.Clone(r.Header) // the transport may still read that of the previous attempt
	r.Header.Set("Authorization", token.Header())
	_, _ = io.CopyN(io.Discard, answer.Body, keptBody) // so that the connection can be reused
	_ = answer.Body.Close()
	if x.lease != nil {
		_ = x.lease.mark.Renew(r.Context()) // send detects a mark that was not renewed
	}
	return true
}

// bufferBody reads a short body completely, so that it can be sent more than once. A
// longer body streams and is sent once. A body of unknown length is read until it is
// clear which one it is, and is forwarded in its original form.
func (a *attempts) bufferBody(r *http.Request) error {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 || r.ContentLength > keptBody {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(r.Body, keptBody+1))
	if err != nil {
		return err
	}
	if len(text) > keptBody {
		r.Body = &joined{io.MultiReader(bytes.NewReader(text), r.Body), r.Body}
		return nil
	}
	a.kept = text
	return nil
}

// send sends r. All attempts of an exchange share upstream's time: a repeated request
// has the rest of it.
func (a *attempts) send(r *http.Request) (*http.Response, error) {
	x := a.exchange
	transport := a.proxy.Transport.Shared
	if x.op.Confirmable {
		transport = a.proxy.Transport.Fresh
	}
	if x.lease != nil && x.lease.remaining() < 0 { // the write could take effect after its mark
		return nil, errLateMark
	}
	s := &a.first
	if x.rec.UpstreamAttempts > 0 {
		s = new(sending)
	}
	s.within, s.observer = max(1, a.proxy.Timeout-a.elapsed), a
	out := r.WithContext(hookless{r.Context(), x.r.Context(), s})
	if a.kept != nil {
		out.Body = io.NopCloser(bytes.NewReader(a.kept))
	}
	if x.brokered() {
		x.rec.UpstreamClient = a.proxy.Brokering.ClientID
	}
	attempt := x.beginAttempt(out)
	answer, err := transport.RoundTrip(out)
	a.elapsed += time.Since(x.sent)
	x.endAttempt(attempt, s, answer, err)
	a.proxy.noteReach(x, err)
	if err == nil {
		disconnect(answer.Header)
	}
	return answer, err
}

// disconnect removes from an answer Connection and the fields that it names (RFC 9110
// section 7.6.1), except fields that are intended for all recipients. ReverseProxy
// would remove those too, for example Cache-Control before the cache has read it.
func disconnect(h http.Header) {
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			if name = http.CanonicalHeaderKey(strings.TrimSpace(name)); !slices.Contains(forRecipients, name) {
				delete(h, name)
			}
		}
	}
	delete(h, "Connection")
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
	r.Header[record.Traceparent] = x.lines.of(x.rec.Trace.Text(a.Span))
	return a
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

// connected records that the request has a connection. If the request probes for others
// whether its region is back, that is the result: its answer may be slow for other
// reasons.
func (a *attempts) connected(reused bool) {
	x := a.exchange
	x.connected.Store(true)
	if x.admission.Probes() && !reused { // a kept connection may be dead
		a.proxy.reportRegion(x.admission.Reached(time.Now()))
	}
}

// noteReach records the result of an attempt for x's region.
func (p *Proxy) noteReach(x *exchange, err error) {
	switch {
	case err == nil:
		p.reportRegion(x.admission.Reached(time.Now()))
	case connectTimedOut(err):
		p.reportRegion(x.admission.TimedOut(err.Error(), time.Now()))
	case x.admission.Probes() && errorType(err) != "canceled" && errorType(err) != "timeout":
		// It failed, but without a wait.
		p.reportRegion(x.admission.Reached(time.Now()))
	}
}

// reportRegion calls RegionChanged if a region became unreachable or reachable.
func (p *Proxy) reportRegion(s regionmap.ReachState, changed bool) {
	if changed && p.RegionChanged != nil {
		p.RegionChanged(s)
	}
}

// connectTimedOut reports whether err means that no connection was established in time.
func connectTimedOut(err error) bool {
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "dial" {
		return e.Timeout()
	}
	// net/http does not export its type.
	return errors.Is(err, errNoConnection) || strings.HasSuffix(err.Error(), "TLS handshake timeout")
}

// RegionStates returns, for each region that received a request since the start,
// whether connections to it succeed.
func (p *Proxy) RegionStates() []regionmap.ReachState { return p.reach.States() }

// awaitResend waits until a request that upstream refused may be sent again: until
// upstream's pause is over, and then for the same turns as any request to upstream, so
// that the repetition is counted again. If that takes longer than a request may wait,
// the client gets answer unchanged.
func (a *attempts) awaitResend(r *http.Request, answer *http.Response) (again bool, err error) {
	x := a.exchange
	refusal, short := bufferAnswer(answer)
	x.note429(time.Now())
	a.proxy.pause(x, answer.Header, refusal)
	if !short || r.Body != nil && a.kept == nil {
		return false, nil
	}
	defer x.enter(record.StageForward)
	x.enter(record.StageLimit)
	err = a.proxy.awaitPause(x)
	if err == nil && x.rec.Charged {
		err = a.proxy.charge(x.r.Context(), x)
	}
	if err == nil {
		err = a.proxy.chargeBudget(x)
	}
	switch {
	case errors.Is(err, context.Canceled):
		return false, err
	case err != nil:
		return false, nil // the client gets upstream's own 429
	}
	if x.lease != nil {
		_ = x.lease.mark.Renew(r.Context()) // send detects a mark that was not renewed
	}
	return true, nil
}

// note429 records that upstream answered 429 at now.
func (x *exchange) note429(now time.Time) {
	if x.upstream429s == 0 {
		x.first429At, x.waitedBefore429 = now, x.rec.Waited
	}
	x.upstream429s++
}

// pause records upstream's 429, so that no request of this client is sent there before
// the pause ends. If upstream's answer names our address, the pause is for all clients.
func (p *Proxy) pause(x *exchange, h http.Header, body []byte) {
	interval := x.interval()
	p.Pauses.Pause(p.clientKey(x), retryAfter(h, backoff(interval, x.upstream429s)), interval)
	if p.Budget.Rate > 0 && namesAddress(body) {
		interval = p.Budget.Period / time.Duration(p.Budget.Rate)
		p.Pauses.Pause(p.budgetKey(x.location, x.storeRef()), retryAfter(h, interval), interval)
	}
}

// backoff returns the pause after the nth 429 of an exchange if upstream names none: an
// interval, and twice as long each time, up to a second.
func backoff(interval time.Duration, n int) time.Duration {
	longest := max(interval, time.Second)
	for ; n > 1 && interval < longest; n-- {
		interval *= 2
	}
	return min(interval, longest)
}

// namesAddress reports whether a 429 is about an address that is over its limit. Object
// Store's observed answer is "ip 192.0.2.1 can not perform more requests in this time
// window".
func namesAddress(body []byte) bool {
	words := strings.FieldsFunc(string(body), func(r rune) bool { return r == ' ' || r == '"' || r == ',' })
	for i, word := range words[:max(0, len(words)-1)] {
		if _, err := netip.ParseAddr(words[i+1]); err == nil && strings.EqualFold(word, "ip") {
			return true
		}
	}
	return false
}

// bufferAnswer replaces a short body by a copy in memory, so that the answer can be
// dropped or forwarded later. It returns the copy and whether the body was short
// enough.
func bufferAnswer(answer *http.Response) (text []byte, short bool) {
	text, err := io.ReadAll(io.LimitReader(answer.Body, keptBody+1))
	if err != nil || len(text) > keptBody {
		answer.Body = &joined{io.MultiReader(bytes.NewReader(text), failing{answer.Body, err}), answer.Body}
		return nil, false
	}
	_ = answer.Body.Close() // the end was read
	answer.Body = io.NopCloser(bytes.NewReader(text))
	return text, true
}

// joined reads from its Reader and closes its Closer.
type joined struct {
	io.Reader
	io.Closer
}

// failing reads from its Reader, or returns err if it is not nil.
type failing struct {
	io.Reader
	err error
}

// Read implements [io.Reader].
func (f failing) Read(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return f.Reader.Read(p)
}

// retryAfter returns the pause that the header of a 429 requests, at least interval:
// the next request is permitted only after that.
func retryAfter(h http.Header, interval time.Duration) time.Duration {
	wait, _ := retryafter.Of(h, time.Now())
	return max(interval, wait)
}

// errLateMark refuses to send a write whose mark would expire before the outcome of the
// write can be known.
var errLateMark = errors.New("the write was marked too long ago")
