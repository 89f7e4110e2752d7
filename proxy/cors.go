package proxy

import (
	"net/http"
	"slices"
	"strings"

	"osgate/record"
)

// The methods and headers that a page of another origin may send (Fetch Standard, "CORS
// protocol"): those that have a meaning for the API.
const (
	corsMethods = "GET, HEAD, PUT, POST, PATCH, DELETE"
	corsHeaders = "Accept, Authorization, Cache-Control, Content-Encoding, Content-Type, If-Match, If-None-Match, Traceparent, Tracestate, " +
		"X-ANYPNT-ENV-ID, X-ANYPNT-ORG-ID, X-Osgate-Region, X-Request-Id"
	corsMaxAge = "600" // seconds for which a browser caches the preflight's answer
)

// preflight reports whether r is a CORS preflight: a browser requests permission for a
// page of another origin.
func preflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// allowedOrigin returns the origin of the page that sent the request if it is one of
// Origins, and "" otherwise.
func (p *Proxy) allowedOrigin(h http.Header) string {
	origins := h["Origin"]
	if len(origins) != 1 || !slices.Contains(p.Origins, origins[0]) && !slices.Contains(p.Origins, "*") {
		return ""
	}
	return origins[0]
}

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
