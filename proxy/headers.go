package proxy

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"osgate/cache"
	"osgate/cache/httpcache"
	"osgate/internal/via"
	"osgate/ratelimit"
	"osgate/record"
	"osgate/regionmap"
)

// toUpstream lists the request headers that are sent upstream unchanged. No other
// header is sent: a list of harmful headers would never be complete. Each of them could
// change the answer. Those in [cache.ChoosingHeaders] are part of a cache entry's key,
// and notChoosing gives the reason why the others are not. Accept-Encoding is missing
// on purpose: bodies are identity, and every client can read the cached bytes.
var toUpstream = slices.Concat(cache.ChoosingHeaders, notChoosing)

// notChoosing lists the headers of toUpstream that are not part of a cache entry's key.
var notChoosing = []string{
	// Its request is never answered from the cache, and its answer is never stored.
	"If-Match",
	"If-None-Match",                       // chooses between 200 and 304, and no 304 is stored
	record.Traceparent, record.Tracestate, // differ with each request; no server selects its answer by them
}

// outHeader makes the header for upstream from the request's own header, which policy
// and cache have judged. Connection removes no field of it: it may name hop-by-hop
// fields only (RFC 9110 section 7.6.1), and the list contains none. Otherwise a field
// could be judged here and be missing upstream.
func (x *exchange) outHeader() http.Header {
	in, out := x.r.Header, make(http.Header, 8)
	for _, name := range toUpstream {
		if values := in[name]; len(values) > 0 {
			out[name] = values
		}
	}
	for name, values := range in {
		if strings.HasPrefix(name, cache.ChoosingPrefix) {
			out[name] = values
		}
	}
	for _, name := range []string{"If-Match", "If-None-Match"} {
		if theirs := httpcache.StripOwnETags(out[name]); len(theirs) > 0 {
			out[name] = theirs
		} else {
			delete(out, name)
		}
	}
	x.traceContext(out)
	x.credentials(out)
	x.setVia(out)
	return out
}

// setVia sets Via and Forwarded. A read whose answer may serve other clients does not
// identify its own client: upstream could use these headers in the answer, and their
// values vary too much for an entry's key.
func (x *exchange) setVia(out http.Header) {
	if x.question.Shared && x.fill != nil {
		out["Via"], out["Forwarded"] = x.lines.of(via.Of(1, 1)), x.lines.of("for=unknown")
		return
	}
	own := via.Of(x.r.ProtoMajor, x.r.ProtoMinor)
	if theirs := x.r.Header["Via"]; len(theirs) > 0 {
		out["Via"] = append(slices.Clone(theirs), own)
	} else {
		out["Via"] = x.lines.of(own)
	}
	out["Forwarded"] = x.lines.of(x.forwarded())
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
		out[record.Tracestate] = x.lines.of(state)
	}
}

// credentials sets exactly one Authorization: the token that was validated. No other
// header of the client ("Connection: Authorization") can remove or duplicate it. An
// Access Management call keeps the one Authorization that it has.
func (x *exchange) credentials(out http.Header) {
	if x.call == 0 {
		out["Authorization"] = x.lines.of(x.token.Header())
		return
	}
	if values := x.r.Header["Authorization"]; len(values) == 1 {
		out["Authorization"] = values
	}
}

// forwarded returns the value of Forwarded (RFC 7239): the client's address, the host
// and the protocol. Only trusted proxies can change the address.
func (x *exchange) forwarded() string {
	proto := "http"
	if x.r.TLS != nil {
		proto = "https"
	}
	node := cmp.Or(x.address, peer(x.r))
	b := make([]byte, 0, 128)
	if strings.Contains(node, ":") {
		b = appendQuoted(append(b, "for="...), "[", node, "]")
	} else {
		b = appendQuoted(append(b, "for="...), node)
	}
	b = appendQuoted(append(b, ";host="...), x.r.Host)
	return string(append(append(b, ";proto="...), proto...))
}

// appendQuoted appends parts as one quoted-string (RFC 9110 section 5.6.4), without
// characters that could end it.
func appendQuoted(b []byte, parts ...string) []byte {
	b = append(b, '"')
	for _, part := range parts {
		for i := range len(part) {
			if c := part[i]; c >= ' ' && c <= '~' && c != '"' && c != '\\' {
				b = append(b, c)
			}
		}
	}
	return append(b, '"')
}

// forRecipients lists fields of answers that are intended for all recipients (RFC 9110
// sections 8, 10.2 and 11.6.1, RFC 9111 section 5, RFC 6265). A Connection must not
// name them.
var forRecipients = []string{
	"Accept-Ranges", "Age", "Allow", "Cache-Control", "Cdn-Cache-Control", "Content-Encoding", "Content-Language",
	"Content-Length", "Content-Location", "Content-Range", "Content-Type", "Date", "Etag", "Expires", "Last-Modified",
	"Location", "Pragma", "Retry-After", "Set-Cookie", "Vary", "Warning", "Www-Authenticate",
}

// trimTrailers removes from upstream's trailers the fields that must not follow a body
// (RFC 9110 section 6.5.1): fields about framing, routing, credentials, content or
// caching, cookies, and fields that the header section has too, because net/http would
// send the header's value again. It is called before Trailer lists the names for the
// client, and at the body's end, when fields may arrive that upstream did not announce.
func (x *exchange) trimTrailers(answer *http.Response) {
	for name := range answer.Trailer {
		_, remains := answer.Header[name]
		_, moved := x.w.Header()[name]
		if remains || moved || !httpguts.ValidTrailerHeader(name) ||
			slices.Contains(forRecipients, name) || slices.Contains(neverTrailing, name) {
			delete(answer.Trailer, name)
		}
	}
}

// neverTrailing lists forbidden trailers that are missing in forRecipients and in
// net/http's own list.
var neverTrailing = []string{
	"Cache-Status", "Proxy-Status", "Server", "Server-Timing", "Set-Cookie", "Set-Cookie2", "Upgrade", "Via",
	"X-Osgate-Region", "X-Request-Id",
}

// ourHeaders adds the headers that every answer has, ours and upstream's: current
// values, never stored ones.
func (x *exchange) ourHeaders(h http.Header) {
	h["X-Request-Id"] = x.lines.of(x.rec.ID)
	x.lines.add(h, "Via", via.Of(x.r.ProtoMajor, x.r.ProtoMinor))
	if x.location.Region != "" {
		h[regionmap.Header] = x.lines.of(x.location.String())
	} else if x.location.Plane != "" {
		h[regionmap.Header] = x.lines.of(x.location.Plane)
	}
	if x.closing { // so that the client does not reuse a connection that is about to close (RFC 9112 section 9.6)
		h.Set("Connection", "close")
	}
	x.limitHeaders(h)
	x.crossOrigin(h)
	if text := x.status.String(); text != "" { // after those of caches closer to the origin (RFC 9211 section 2)
		x.lines.add(h, "Cache-Status", text)
		x.rec.Cache = x.status
	}
	if x.timing {
		h.Set("Server-Timing", x.serverTiming())
	}
}

// limitHeaders writes the state of the quota, in the form of IETF
// draft-ietf-httpapi-ratelimit-headers-10 and in that of Anypoint's own APIs
// (X-RateLimit-Reset in epoch seconds). The draft has whole seconds only, so all values
// are rounded up.
func (x *exchange) limitHeaders(h http.Header) {
	if !x.rec.Charged {
		return
	}
	units, window := advertised(x.quota)
	var room [128]byte
	b, policy, limit := appendLimit(room[:0], `";q=`, units, `;w=`, window)
	b, state, remaining := appendLimit(b, `";r=`, int64(x.result.Remaining), `;t=`, seconds(x.result.MoreAfter))
	reset := span{from: len(b)}
	b = strconv.AppendInt(b, ceilUnix(time.Now().Add(x.result.ResetAfter)), 10)
	reset.to = len(b)
	text := string(b)
	// These names are in net/http's canonical form already. Not to canonicalize them
	// again saves time on every hit.
	h["Ratelimit-Policy"] = x.lines.of(policy.of(text))
	h["Ratelimit"] = x.lines.of(state.of(text))
	h["X-Ratelimit-Limit"] = x.lines.of(limit.of(text))
	h["X-Ratelimit-Remaining"] = x.lines.of(remaining.of(text))
	h["X-Ratelimit-Reset"] = x.lines.of(reset.of(text))
}

// appendLimit appends a field about the client's quota with two parameters. It returns
// where in b the field is, and the number of its first parameter.
func appendLimit(b []byte, first string, n int64, second string, m int64) (_ []byte, whole, number span) {
	whole.from = len(b)
	b = append(append(append(b, '"'), policyClient...), first...)
	number.from = len(b)
	b = strconv.AppendInt(b, n, 10)
	number.to = len(b)
	b = strconv.AppendInt(append(b, second...), m, 10)
	whole.to = len(b)
	return b, whole, number
}

// advertised returns q in the form of the draft: units in a number of whole seconds.
// Units is at least the largest possible number of remaining units, and the rate is
// that of q, or less by a part of a unit.
func advertised(q ratelimit.Quota) (units, window int64) {
	window = max(1, int64((q.Period+time.Second-1)/time.Second))
	units = int64(q.Rate) * window * int64(time.Second) / int64(q.Period)
	if most := int64(maxRemaining(q)); units < most {
		times := (most + units - 1) / units
		return units * times, window * times
	}
	return units, window
}

func ceilUnix(t time.Time) int64 { return t.Add(time.Second - 1).Unix() }

// crossOrigin lets a page of an allowed origin read the answer. If the operator has
// listed origins, upstream's own CORS headers are removed.
func (x *exchange) crossOrigin(h http.Header) {
	if !x.origins {
		return
	}
	for name := range h {
		if strings.HasPrefix(name, "Access-Control-") {
			delete(h, name)
		}
	}
	h.Add("Vary", "Origin")
	if x.origin != "" {
		h.Set("Access-Control-Allow-Origin", x.origin)
		h.Set("Access-Control-Expose-Headers", "*")
	}
}

// serverTiming returns the time of each stage so far in milliseconds (W3C Server
// Timing).
func (x *exchange) serverTiming() string {
	x.enter(x.stage)
	var b strings.Builder
	for s := record.StageLocate; s <= x.stage; s++ {
		if s > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s;dur=%.3f", s, float64(x.rec.Stages[s])/float64(time.Millisecond))
	}
	return b.String()
}

// lines is memory for the values of header fields, so that a field with one value needs
// none of its own. The zero lines is ready. Only the goroutine of an exchange calls its
// methods. A value is never changed, because others may read a header after the exchange.
type lines struct {
	values [16]string // an exchange with one attempt has up to 14
	used   int
}

// of returns a list of one value. Appending to the list copies it.
func (l *lines) of(value string) []string {
	if l.used == len(l.values) {
		return []string{value}
	}
	l.values[l.used] = value
	l.used++
	return l.values[l.used-1 : l.used : l.used]
}

// add adds a value to the field with this canonical name, as the last one.
func (l *lines) add(h http.Header, name, value string) {
	if values := h[name]; len(values) > 0 {
		h[name] = append(values, value)
	} else {
		h[name] = l.of(value)
	}
}

// span is a part of a text that several fields share.
type span struct{ from, to int }

func (s span) of(text string) string { return text[s.from:s.to] }
