package proxy

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"osgate/internal/via"
	"osgate/record"
)

// admit counts the exchange, refuses what no client may send (requests that passed this
// gateway before, methods that are not forwarded), and answers requests for the gateway
// itself. Neither admit nor locate waits, so that they need no slot.
func (p *Proxy) admit(x *exchange) error {
	p.exchanges.add(x.r.Method, 1)
	if err := p.checkFraming(x); err != nil { // first, because the connection must end
		return err
	}
	h := x.r.Header
	switch {
	case p.draining.Load():
		return refusal{
			code: record.CodeDraining, detail: "this gateway is shutting down; send the request to another replica",
			retryAfter: time.Second,
		}
	case via.Passed(h["Via"]):
		return refusal{
			code: record.CodeLoop, detail: "this request has passed this gateway before; its upstream leads back to it",
		}
	case x.r.Method == http.MethodConnect || x.r.Method == http.MethodTrace:
		return refusal{code: record.CodeBadRequest, detail: "method " + x.r.Method + " is not served"}
	case x.r.ContentLength > p.MaxBody:
		return tooLarge(p.MaxBody)
	case isSelfRequest(x.r):
		return p.answerSelf(x)
	}
	return nil
}

// checkFraming refuses a request whose end or target two servers can read differently.
// The connection of such an HTTP/1 request is closed (RFC 9112 section 6.1).
func (p *Proxy) checkFraming(x *exchange) error {
	switch {
	case p.Ambiguous != nil && p.Ambiguous(x.r):
		x.closing = true
		return refusal{code: record.CodeBadRequest, detail: ambiguousDetail}
	case strings.ContainsAny(x.r.RequestURI, " #"): // in HTTP/1 net/http has refused a space
		return refusal{
			code: record.CodeBadPath, detail: "the request target contains a space or #, which must be percent-encoded",
		}
	case x.r.ProtoMajor == 2 && !lengthHolds(x.r):
		return refusal{code: record.CodeBadRequest, detail: "Content-Length is not the length of the request body"}
	}
	return nil
}

// ambiguousDetail is the detail of the refusal of an ambiguous request.
const ambiguousDetail = "a request must not have both Transfer-Encoding and Content-Length, and in HTTP/1.0 it must not have Transfer-Encoding"

// lengthHolds reports whether the Content-Length of an HTTP/2 request can be that of
// its body, as far as its header section shows (RFC 9113 section 8.1.1). net/http uses
// the first of several values, reads a value that is no number as 0, and ignores a
// wrong value if the header section ends the request: its ContentLength is 0 then.
func lengthHolds(r *http.Request) bool {
	values, declared := r.Header["Content-Length"]
	if !declared {
		return true
	}
	if len(values) != 1 {
		return false
	}
	n, err := strconv.ParseUint(values[0], 10, 63)
	return err == nil && int64(n) == r.ContentLength
}

// selfDescription is the answer to people and to probes of load balancers. It contains
// no version, because every client can request it.
const selfDescription = `{"service":"osgate","description":"a gateway in front of MuleSoft Anypoint Object Store v2","status":"ok"}` + "\n"

// isSelfRequest reports whether a request is for the gateway itself, and not for Object
// Store.
func isSelfRequest(r *http.Request) bool {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	probe := (r.Method == http.MethodGet || r.Method == http.MethodHead) && (path == "/" || path == "/healthz")
	return probe || preflight(r)
}

// answerSelf answers a request for the gateway itself. It does not wait and needs no
// slot. Probes arrive every few seconds: they are neither logged nor counted.
func (p *Proxy) answerSelf(x *exchange) error {
	x.answered = true
	if preflight(x.r) {
		return p.answerPreflight(x)
	}
	x.unrecorded = true
	h := x.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(selfDescription)))
	h.Set("Cache-Control", "no-store")
	x.ourHeaders(h)
	x.w.WriteHeader(http.StatusOK)
	if x.r.Method != http.MethodHead {
		_, _ = x.w.Write([]byte(selfDescription)) // an error means that the client has left
	}
	return nil
}

// preflight reports whether r is a CORS preflight: a browser requests permission for a
// page of another origin.
func preflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" &&
		r.Header.Get("Access-Control-Request-Method") != ""
}

// The methods and headers that a page of another origin may send (Fetch Standard, "CORS
// protocol"): those that have a meaning for the API.
const (
	corsMethods = "GET, HEAD, PUT, POST, PATCH, DELETE"
	corsHeaders = "Accept, Authorization, Cache-Control, Content-Encoding, Content-Type, If-Match, If-None-Match, Traceparent, Tracestate, " +
		"X-ANYPNT-ENV-ID, X-ANYPNT-ORG-ID, X-Osgate-Region, X-Request-Id"
	corsMaxAge = "600" // seconds for which a browser caches the preflight's answer
)

// answerPreflight answers with the methods and headers that a page may send. It does
// not allow credentials, because the gateway uses no cookies: a page needs a token.
func (p *Proxy) answerPreflight(x *exchange) error {
	if x.origin == "" {
		return refusal{
			code: record.CodeBadRequest, status: http.StatusForbidden, title: "Origin not allowed",
			detail: "pages of this origin may not call this gateway from a browser; its operator lists origins in OSGATE_CORS_ORIGINS, by default none",
		}
	}
	h := x.w.Header()
	x.ourHeaders(h)
	h.Set("Access-Control-Allow-Methods", corsMethods)
	h.Set("Access-Control-Allow-Headers", corsHeaders)
	h.Set("Access-Control-Max-Age", corsMaxAge)
	x.w.WriteHeader(http.StatusNoContent)
	return nil
}
