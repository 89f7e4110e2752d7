package admin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"
)

// Options configures the handler that [New] returns. All functions are called by many
// goroutines at once. They must not block, except Purge, History and Fleet.
type Options struct {
	// Token is required for every path except /livez, /readyz, the login, the style
	// sheet and the icon. If it is empty, no token is required; New allows that only on
	// loopback.
	Token Token
	// Loopback reports that only this machine can reach the listener. The Host header
	// of a request must then be a loopback name.
	Loopback bool

	Version string    // of the program
	Replica Replica   // which process this is
	Start   time.Time // of the process

	// Readiness returns whether the process can serve. /readyz shows it without a
	// token, so it must contain no addresses and no names of clients.
	Readiness func() Readiness
	// Overview returns the data of /api/overview and /api/live: the health of the
	// gateway, made by [NewHealth], its traffic as a value for encoding/json, and the
	// names of ids in it. The page reads the JSON form of board.Snapshot.
	Overview func(now time.Time) (health Health, traffic any, names map[string]string)
	// Recent returns the data of /api/recent as a value for encoding/json: the traffic
	// of the duration back before now, at most [MaxRecent]. The page reads the JSON
	// form of board.Recent.
	Recent func(now time.Time, back time.Duration) any
	// History returns the data of /api/history from the statistics. An *[InputError]
	// reports an invalid field of the request. Any other error means that the
	// statistics cannot be read now.
	History func(ctx context.Context, q HistoryQuery) (History, error)
	// Fleet returns the data of /api/fleet: the replicas, as a value for encoding/json.
	// The page reads the JSON form of fleet.Fleet.
	Fleet func(ctx context.Context) any
	// Details returns what is known of a client, a store, a refused request or a rule.
	Details Details
	// Operations are the actions beside Purge.
	Operations Operations
	// Settings returns the data of /config as a value for encoding/json: every variable
	// with its current value, secrets masked.
	Settings func() any
	// Metrics serves /metrics.
	Metrics http.Handler
	// Purge drops cached answers and returns how many this process dropped. An
	// *[InputError] reports an invalid field of the request. Any other error means that
	// other replicas may still hold their copies.
	Purge func(ctx context.Context, p PurgeRequest) (int, error)

	// Acted is called after each action that changes something. It may be nil.
	Acted func(a Action)

	// Done, when closed, ends the streams of /api/live. They last up to 10 minutes, and
	// http.Server.Shutdown waits for them. If it is nil, a stream ends with its
	// connection.
	Done <-chan struct{}

	// Refused is called for each wrong token. tooMany reports that the address had
	// already sent too many wrong tokens. It may be nil.
	Refused func(tooMany bool)

	// Logger logs purges and wrong tokens. If it is nil, they are not logged.
	Logger *slog.Logger
}

// server is the handler that New returns.
type server struct {
	Options
	guard   *guard
	feed    *feed
	streams chan struct{} // one element for each open stream; the capacity limits their number
}

// New returns the handler. It returns an error if a part is missing, or if the listener
// would be open to the network without a token.
func New(o Options) (http.Handler, error) {
	if o.Readiness == nil || o.Overview == nil || o.Recent == nil || o.History == nil || o.Fleet == nil ||
		o.Details == nil || o.Operations == nil || o.Settings == nil || o.Metrics == nil || o.Purge == nil {
		return nil, errors.New("admin: an option is missing")
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

// routes returns the handler for all paths. Each path has one method, and is either
// open or requires the token.
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
	guarded(http.MethodGet, "/api/fleet", s.fleet)
	guarded(http.MethodGet, "/api/client", s.client)
	guarded(http.MethodGet, "/api/store", s.store)
	guarded(http.MethodGet, "/api/request", s.request)
	guarded(http.MethodGet, "/api/search", s.search)
	guarded(http.MethodGet, "/api/policy", s.policy)
	guarded(http.MethodPost, "/cache/purge", s.purge)
	guarded(http.MethodPost, "/reload", s.reload)
	guarded(http.MethodPost, "/drain", s.drain)
	guarded(http.MethodPost, "/shadow", s.shadow)

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
		mux.Handle("GET /login", http.RedirectHandler("/", http.StatusSeeOther)) // a failed login page that is reloaded
		open(http.MethodPost, "/logout", s.guard.logout)
	}
	mux.Handle("/", s.guard.require(http.HandlerFunc(notFound)))
	return mux
}

// secured adds headers to every answer that restrict what browsers do with it: they
// load only the gateway's own files, do not guess media types, do not show the page in
// a frame and do not store it.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy",
			"default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")        // for browsers that do not support frame-ancestors
		h.Set("Referrer-Policy", "same-origin") // with no-referrer the form sends "Origin: null"
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// only refuses every method except the given one. HEAD is allowed where GET is.
func only(method string, next http.HandlerFunc) http.Handler {
	allowed := method
	if method == http.MethodGet {
		allowed = "GET, HEAD"
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != method && (method != http.MethodGet || r.Method != http.MethodHead) {
			w.Header().Set("Allow", allowed)
			problem{
				Code: "method-not-allowed", Status: http.StatusMethodNotAllowed,
				Detail: r.URL.Path + " supports " + allowed,
			}.write(w)
			return
		}
		next(w, r)
	})
}

func notFound(w http.ResponseWriter, r *http.Request) {
	problem{
		Code: "not-found", Status: http.StatusNotFound, Detail: "this path does not exist; the page is at /",
	}.write(w)
}

// Status is the state of the process.
type Status string

// The states. A degraded process serves requests, some of them worse than normal, and
// wants traffic. A starting, draining or unready process wants no traffic.
const (
	Starting Status = "starting"
	Ready    Status = "ready"
	Degraded Status = "degraded"
	Draining Status = "draining"
	Unready  Status = "unready" // it runs, but would refuse every request
)

// Readiness is the answer of /readyz.
type Readiness struct {
	Status  Status   `json:"status"`
	Reasons []Reason `json:"reasons"` // why the status is not Ready; empty if it is
}

// Reason is one problem.
type Reason struct {
	Part   string `json:"part"`   // "redis", "control plane us", "region eu/eu-west-1"
	Detail string `json:"detail"` // a sentence for people
}

// live reports that the process answers. It does not check the services that the
// process needs.
func (s *server) live(w http.ResponseWriter, _ *http.Request) {
	send(w, http.StatusOK, "text/plain; charset=utf-8", []byte("ok\n"))
}

// ready reports whether the process wants traffic: 200 if it does, degraded or not. So
// an unavailable Redis does not take every replica out of service at once.
func (s *server) ready(w http.ResponseWriter, _ *http.Request) {
	r := s.readiness()
	status := http.StatusServiceUnavailable
	if r.Status == Ready || r.Status == Degraded {
		status = http.StatusOK
	}
	s.writeJSON(w, status, r)
}

// readiness returns the state with a list of reasons that is never nil: JSON has [],
// not null.
func (s *server) readiness() Readiness {
	r := s.Readiness()
	if r.Reasons == nil {
		r.Reasons = []Reason{}
	}
	return r
}

func (s *server) fleet(w http.ResponseWriter, r *http.Request) {
	s.writeJSON(w, http.StatusOK, s.Fleet(r.Context()))
}

func (s *server) settings(w http.ResponseWriter, _ *http.Request) {
	s.writeJSON(w, http.StatusOK, s.Settings())
}
