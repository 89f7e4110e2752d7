package proxy

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"osgate/cache"
	"osgate/record"
	"osgate/regionmap"
)

// toUpstream are the request headers that go upstream as the client sent them. All else stays here: a list of what is known to be
// harmful is never complete. Accept-Encoding is left out on purpose, so that bodies are identity and cached bytes are what every client can read.
var toUpstream = []string{
	"Accept", "Content-Encoding", "Content-Type", "If-Match", "If-None-Match", "User-Agent",
	record.Traceparent, record.Tracestate,
}

// anypointPrefix begins the headers by which Anypoint's own clients name organization and environment.
const anypointPrefix = "X-Anypnt-"

// outHeader makes the header that goes upstream of the one that came in, which ReverseProxy has freed of hop-by-hop fields.
func (x *exchange) outHeader(in http.Header) http.Header {
	out := make(http.Header, 12)
	for _, name := range toUpstream {
		if values := in[name]; len(values) > 0 {
			out[name] = values
		}
	}
	for name, values := range in {
		if strings.HasPrefix(name, anypointPrefix) {
			out[name] = values
		}
	}
	for _, name := range []string{"If-Match", "If-None-Match"} {
		if theirs := cache.StripOurs(out[name]); len(theirs) > 0 {
			out[name] = theirs
		} else {
			delete(out, name)
		}
	}
	x.traceContext(out)
	x.credentials(out)
	out["Via"] = append(append([]string(nil), in["Via"]...), via(x.r.ProtoMajor, x.r.ProtoMinor))
	out.Set("Forwarded", x.forwarded())
	return out
}

// credentials sets exactly one Authorization: the token that was validated, so that nothing a client says of the header ("Connection: Authorization")
// can take it away or double it; for Access Management calls the one credential that came.
func (x *exchange) credentials(out http.Header) {
	if x.call == 0 {
		out.Set("Authorization", x.token.Header())
		return
	}
	if values := x.r.Header["Authorization"]; len(values) == 1 {
		out["Authorization"] = values
	}
}

// via is our own Via (RFC 9110 section 7.6.3) for a message that came in this version.
func via(major, minor int) string {
	switch {
	case major >= 2:
		return "2 " + pseudonym
	case minor == 0:
		return "1.0 " + pseudonym
	}
	return "1.1 " + pseudonym
}

// forwarded says who asked (RFC 7239). Of what a request says of those before it, only the word of proxies that are believed is passed on.
func (x *exchange) forwarded() string {
	proto := "http"
	if x.r.TLS != nil {
		proto = "https"
	}
	node := peer(x.r)
	if x.client.IsValid() {
		node = x.client.String()
	}
	if strings.Contains(node, ":") {
		node = "[" + node + "]"
	}
	return fmt.Sprintf(`for=%s;host=%s;proto=%s`, quoted(node), quoted(x.r.Host), proto)
}

// quoted writes s as a quoted-string (RFC 9110 section 5.6.4), without what could end it.
func quoted(s string) string {
	return `"` + strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return -1
		}
		return r
	}, s) + `"`
}

// toClient frees an upstream answer's header of what is not for the client. An unknown header stays: it may carry a confirmation id.
func (x *exchange) toClient(h http.Header) {
	h.Del("Server")
	if !x.call.Mints() {
		h.Del("Set-Cookie")
	}
}

// ourHeaders adds what every answer of ours and of upstream's carries, live values, never stored ones.
func (x *exchange) ourHeaders(h http.Header) {
	h.Set("X-Request-Id", x.rec.ID)
	h.Add("Via", via(x.r.ProtoMajor, x.r.ProtoMinor))
	if x.location.Region != "" {
		h.Set(regionmap.Header, x.location.String())
	} else if x.location.Plane != "" {
		h.Set(regionmap.Header, x.location.Plane)
	}
	if x.closing { // so that a client that keeps connections does not meet the listener's end on one (RFC 9112 section 9.6)
		h.Set("Connection", "close")
	}
	x.limitHeaders(h)
	if text := x.status.String(); text != "" {
		h.Set("Cache-Status", text)
		x.rec.Cache = x.status.Outcome()
	}
	if x.timing {
		h.Set("Server-Timing", x.serverTiming())
	}
}

// serverTiming lists the stages so far in milliseconds (W3C Server Timing).
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
