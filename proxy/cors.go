package proxy

import (
	"net/http"
	"slices"
	"strings"
)

// What a page of another origin may send (Fetch Standard, "CORS protocol"): the methods of
// the API, and the headers that mean something here.
const (
	corsMethods = "GET, HEAD, PUT, POST, PATCH, DELETE"
	corsHeaders = "Accept, Authorization, Cache-Control, Content-Encoding, Content-Type, If-Match, If-None-Match, Traceparent, Tracestate, " +
		"X-ANYPNT-ENV-ID, X-ANYPNT-ORG-ID, X-Osgate-Region, X-Request-Id"
	corsMaxAge = "600" // seconds for which a browser does not ask again
)

// preflight reports whether a request is a browser's question whether a page of another
// origin may send its own.
func preflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// allowedOrigin returns the origin of the page that sent a request if it is one of Origins,
// else nothing.
func (p *Proxy) allowedOrigin(h http.Header) string {
	origins := h["Origin"]
	if len(origins) != 1 || !slices.Contains(p.Origins, origins[0]) && !slices.Contains(p.Origins, "*") {
		return ""
	}
	return origins[0]
}

// answerPreflight says what a page may send. No cookie is of any use here, so that
// credentials stay out: a page has to have a token.
func (p *Proxy) answerPreflight(x *exchange) error {
	if x.origin == "" {
		return refusal{
			code: codeBadRequest, status: http.StatusForbidden, title: "Origin not allowed",
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

// crossOrigin lets the page of an allowed origin read an answer. What upstream says of
// origins is not for the gateway's clients where the operator has listed them.
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
