package proxy

import (
	"net/http"
	"strconv"
	"strings"
)

// greeting says what this is, to people and to probes of load balancers. It names no
// version: anybody may ask.
const greeting = `{"service":"osgate","description":"a gateway in front of MuleSoft Anypoint Object Store v2","status":"ok"}` + "\n"

// greets reports whether a request is about the gateway itself, and not for Object Store.
func greets(r *http.Request) bool {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	probe := (r.Method == http.MethodGet || r.Method == http.MethodHead) && (path == "/" || path == "/healthz")
	return probe || preflight(r)
}

// greet answers a request about the gateway itself. It waits for nothing and needs no slot.
// Probes come every few seconds: they are in no log and no count.
func (p *Proxy) greet(x *exchange) error {
	x.answered = true
	if preflight(x.r) {
		return p.answerPreflight(x)
	}
	x.unrecorded = true
	h := x.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(greeting)))
	h.Set("Cache-Control", "no-store")
	x.ourHeaders(h)
	x.w.WriteHeader(http.StatusOK)
	if x.r.Method != http.MethodHead {
		_, _ = x.w.Write([]byte(greeting)) // a client that left needs nothing
	}
	return nil
}
