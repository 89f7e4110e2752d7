package admin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"
)

// Options are what the handler shows and does. All functions are called by many goroutines at once and must not wait, Purge excepted.
type Options struct {
	// Token is asked for by everything but /livez and /readyz. Empty: nobody is asked, which New allows on loopback only.
	Token Token
	// Loopback says that nothing but this machine can reach the listener. Requests must then name it by a loopback name.
	Loopback bool

	Version string    // of the program
	Start   time.Time // of the process

	// Readiness says whether the process can serve. It is shown to everybody: no addresses, no names of clients.
	Readiness func() Readiness
	// Overview returns what /api/overview and /api/live say: how the gateway fares, by [NewHealth], and its traffic as a value for encoding/json; the
	// page reads what telemetry.Snapshot writes.
	Overview func(now time.Time) (health Health, traffic any)
	// Recent returns /api/recent, the traffic of the time back before now, up to [MaxRecent], as a value for encoding/json; the page reads what
	// telemetry.Recent writes.
	Recent func(now time.Time, back time.Duration) any
	// History answers /api/history from the statistics. An *[InputError] is the operator's fault, with a field of the request; any other error means that the
	// statistics cannot be read at present.
	History func(ctx context.Context, q HistoryQuery) (History, error)
	// Settings returns /config as a value for encoding/json: every variable with the value in force, secrets masked.
	Settings func() any
	// Metrics answers /metrics.
	Metrics http.Handler
	// Purge forgets cached answers and returns how many this process dropped. An *[InputError] is the operator's fault; any other error means that
	// other replicas may still hold theirs.
	Purge func(ctx context.Context, p Purging) (int, error)

	// Done, when closed, ends the streams of /api/live, which last up to 10 minutes: http.Server.Shutdown waits for them. Nil: they end with their
	// connections.
	Done <-chan struct{}

	// Refused is called for each wrong token; tooMany reports that its address had sent too
	// many before. Nil: no call.
	Refused func(tooMany bool)

	// Logger is told of purges and wrong tokens; nil: nobody is.
	Logger *slog.Logger
}

// server is the handler that New returns.
type server struct {
	Options
	guard   *guard
	feed    *feed
	streams chan struct{} // one element for each stream that is open; the capacity bounds them
}

// New returns the handler, or an error if a part is missing or the listener would be open to the network.
func New(o Options) (http.Handler, error) {
	if o.Readiness == nil || o.Overview == nil || o.Recent == nil || o.History == nil || o.Settings == nil || o.Metrics == nil || o.Purge == nil {
		return nil, errors.New("admin: a part is missing")
	}
	if !o.Loopback && o.Token == "" {
		return nil, errors.New("admin: a token is required where the listener is not on loopback")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &server{Options: o, guard: newGuard(o), feed: newFeed(), streams: make(chan struct{}, maxStreams)}
	return secured(s.guard.checkHost(s.guard.checkOrigin(s.routes()))), nil
}

// routes returns what is served, by path. Every path says who may come and which method it has.
func (s *server) routes() http.Handler {
	mux := http.NewServeMux()
	open := func(method, path string, h http.HandlerFunc) { mux.Handle(path, only(method, h)) }
	guarded := func(method, path string, h http.HandlerFunc) { mux.Handle(path, s.guard.require(only(method, h))) }

	open(http.MethodGet, "/livez", s.live)
	open(http.MethodGet, "/readyz", s.ready)

	guarded(http.MethodGet, "/metrics", s.Metrics.ServeHTTP)
	guarded(http.MethodGet, "/config", s.settings)
	guarded(http.MethodGet, "/api/overview", s.overview)
	guarded(http.MethodGet, "/api/live", s.stream)
	guarded(http.MethodGet, "/api/recent", s.recent)
	guarded(http.MethodGet, "/api/history", s.history)
	guarded(http.MethodPost, "/cache/purge", s.purge)

	mux.Handle("/{$}", s.guard.orLogin(only(http.MethodGet, file("index.html"))))
	for _, name := range assets() {
		if name == openAsset {
			open(http.MethodGet, "/"+name, file(name))
			continue
		}
		guarded(http.MethodGet, "/"+name, file(name))
	}
	open(http.MethodGet, "/favicon.svg", file("favicon.svg"))
	if s.Token != "" {
		open(http.MethodPost, "/login", s.guard.login)
		mux.Handle("GET /login", http.RedirectHandler("/", http.StatusSeeOther)) // a failed login that is loaded again
		open(http.MethodPost, "/logout", s.guard.logout)
	}
	mux.Handle("/", s.guard.require(http.HandlerFunc(notFound)))
	return mux
}

// secured adds to every answer what keeps browsers from doing more with it than we mean: nothing but our own files is loaded, nothing is guessed,
// framed or kept.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")        // frame-ancestors, for what does not know it
		h.Set("Referrer-Policy", "same-origin") // not no-referrer: the login form would be sent with "Origin: null" and be refused as cross-origin
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// only lets one method through; HEAD goes with GET.
func only(method string, next http.HandlerFunc) http.Handler {
	allowed := method
	if method == http.MethodGet {
		allowed = "GET, HEAD"
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != method && (method != http.MethodGet || r.Method != http.MethodHead) {
			w.Header().Set("Allow", allowed)
			problem{Code: "method-not-allowed", Status: http.StatusMethodNotAllowed, Detail: r.URL.Path + " is served for " + allowed}.write(w)
			return
		}
		next(w, r)
	})
}

func notFound(w http.ResponseWriter, r *http.Request) {
	problem{Code: "not-found", Status: http.StatusNotFound, Detail: "there is nothing at this path; / is the page"}.write(w)
}
