package httpcache

import (
	"bytes"
	"net/http"
	"slices"
)

// droppedHeaders are the fields of one connection, one request or one client, which are
// wrong for the next: hop-by-hop fields (RFC 9110 section 7.6.1), identity, and the
// fields that the gateway sets itself on every answer.
var droppedHeaders = map[string]bool{
	"Age": true, "Alt-Svc": true, "Authentication-Info": true, "Cache-Status": true, "Connection": true,
	"Content-Length": true, "Keep-Alive": true, "Proxy-Authenticate": true, "Proxy-Authentication-Info": true,
	"Proxy-Connection": true, "Proxy-Status": true, "Public-Key-Pins": true, "Retry-After": true, "Server": true,
	"Server-Timing": true, "Set-Cookie": true, "Set-Cookie2": true, "Te": true, "Trailer": true,
	"Traceparent": true, "Traceresponse": true, "Tracestate": true, "Transfer-Encoding": true, "Upgrade": true,
	"Via": true, "Www-Authenticate": true,
}

// droppedWords are parts of the names of fields that belong to one request or one
// client: X-RateLimit-Remaining, RateLimit-Policy, X-Amzn-Requestid, X-Correlation-Id,
// X-B3-Traceid, X-Auth-Token, X-Osgate-Region.
var droppedWords = []string{
	"ratelimit", "rate-limit", "request-id", "requestid", "correlation", "trace", "-span", "cookie", "auth",
	"access-token", "csrf", "xsrf", "session", "x-osgate", "x-amz-cf-",
}

// Impersonal returns a copy of the fields that the gateway replays to other requests of
// the same principal: those that say nothing about one connection, request or client.
// Head reports that h is the answer to a HEAD.
func Impersonal(h http.Header, head bool) http.Header {
	kept := make(http.Header, len(h)+entryFields)
	all := make([]string, 0, values(h)) // one piece of memory for all values
	for name, values := range h {
		if keep(name) {
			from := len(all)
			all = append(all, values...)
			kept[name] = slices.Clip(all[from:])
		}
	}
	for name := range directives(h["Connection"]) { // a list of field names has the same syntax
		kept.Del(name)
	}
	if head { // the length that a GET would have; an answer to HEAD has no body to count
		if length, ok := h["Content-Length"]; ok {
			kept["Content-Length"] = slices.Clone(length)
		}
	}
	return kept
}

// entryFields is the number of fields that package cache adds to those of an answer at
// most: Cache-Control, Content-Length, Etag.
const entryFields = 3

// values returns the number of values in h.
func values(h http.Header) (n int) {
	for _, values := range h {
		n += len(values)
	}
	return n
}

func keep(name string) bool {
	if droppedHeaders[http.CanonicalHeaderKey(name)] {
		return false
	}
	var room [64]byte // for usual names; a longer one is allocated
	lower := room[:0]
	for i := range len(name) {
		c := name[i] // ASCII: net/http accepts no other names
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower = append(lower, c)
	}
	return !slices.ContainsFunc(droppedWords, func(word string) bool { return bytes.Contains(lower, []byte(word)) })
}

// hopHeaders are the fields of one connection or one hop, which no cache stores (RFC
// 9111 section 3.1), and those that are made anew for each answer.
var hopHeaders = []string{
	"Age", "Cache-Status", "Connection", "Content-Length", "Keep-Alive", "Proxy-Authenticate",
	"Proxy-Authentication-Info", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding",
	"Upgrade",
}

// Replayable returns a copy of the fields that a strict shared cache stores: all except
// those of one hop and those that upstream's directives exclude. Fields that name a
// client stay: RFC 9111 section 3.1 allows to leave out no others, and section 7.3
// leaves cookies to the origin.
func Replayable(h http.Header, control *Control) http.Header {
	kept := make(http.Header, len(h))
	for name, values := range h {
		kept[name] = slices.Clip(slices.Clone(values))
	}
	for name := range directives(h["Connection"]) {
		kept.Del(name)
	}
	for _, name := range slices.Concat(hopHeaders, control.NoCache.Fields, control.Private.Fields) {
		kept.Del(name)
	}
	return kept
}
