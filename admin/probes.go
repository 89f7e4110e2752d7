package admin

import (
	"log/slog"
	"net/http"
)

// ProbesOptions configures the handler that [NewProbes] returns. The functions are
// called by many goroutines at once. They must not block.
type ProbesOptions struct {
	// Loopback reports that only this machine can reach the listener. The Host header
	// of a request must then be a loopback name.
	Loopback bool

	Readiness func() Readiness // as in [Options]; required
	Metrics   http.Handler     // serves /metrics; required

	// Logger logs answers that cannot be encoded. If it is nil, they are not logged.
	Logger *slog.Logger
}

// NewProbes returns the handler of a listener for probes and scrapes. It serves /livez,
// /readyz and /metrics with GET and HEAD, without a token. Every other path is 404,
// also one that another spelling would lead to these; no answer is a redirect.
func NewProbes(o ProbesOptions) http.Handler {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &server{Options: Options{Loopback: o.Loopback, Readiness: o.Readiness, Logger: o.Logger}}
	paths := map[string]http.Handler{
		"/livez":   only(http.MethodGet, s.live),
		"/readyz":  only(http.MethodGet, s.ready),
		"/metrics": only(http.MethodGet, o.Metrics.ServeHTTP),
	}
	served := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, ok := paths[r.URL.Path]
		if !ok {
			problem{
				Code: "not-found", Status: http.StatusNotFound,
				Detail: "this listener has only /livez, /readyz and /metrics",
			}.write(w)
			return
		}
		h.ServeHTTP(w, r)
	})
	return secured(newGuard(s.Options).checkHost(served))
}
