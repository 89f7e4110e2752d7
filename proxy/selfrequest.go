package proxy

import (
	"net/http"
	"strconv"
	"strings"
)

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
