package e2e

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// front is a proxy in front of osemu that makes the control plane fail while Object
// Store works, which osemu cannot do itself.
type front struct {
	url  string
	asks atomic.Int64 // questions whose a token is

	mu      sync.Mutex
	trouble func(http.ResponseWriter, *http.Request) // guarded by mu: answers Access Management calls; nil: osemu does
}

func (s *stack) front() *front {
	s.t.Helper()
	target, err := url.Parse(s.emulator.url)
	if err != nil {
		s.t.Fatal(err)
	}
	f := &front{}
	pass := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/accounts/api/me" {
			f.asks.Add(1)
		}
		f.mu.Lock()
		trouble := f.trouble
		f.mu.Unlock()
		if trouble != nil && strings.HasPrefix(r.URL.Path, "/accounts/") {
			trouble(w, r)
			return
		}
		pass.ServeHTTP(w, r)
	}))
	s.t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

// accounts sets the handler of Access Management calls from now on; nil: osemu answers
// them.
func (f *front) accounts(trouble func(http.ResponseWriter, *http.Request)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trouble = trouble
}

// The ways in which a control plane fails.
func cut(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func fails(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }

func crowded(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Retry-After", "1")
	w.WriteHeader(http.StatusTooManyRequests)
}

// hangs responds long after the gateway has given up.
func hangs(_ http.ResponseWriter, r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-time.After(patience):
	}
}

// mintAt requests a token of a control plane from osemu itself, so that the gateway
// does not know it.
func (e *emulator) mintAt(t testing.TB, app, plane string) string {
	t.Helper()
	form := "client_id=" + app + "&client_secret=secret-" + strings.TrimPrefix(app, "app-") + "&grant_type=client_credentials"
	a := caller{t: t, base: e.url}.send(http.MethodPost, "/"+plane+"/accounts/oauth2/token", form, "Content-Type: application/x-www-form-urlencoded")
	return a.is(http.StatusOK).token()
}
