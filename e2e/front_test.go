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

// controlPlaneProxy is a proxy in front of osemu that makes the control plane fail
// while Object Store works, which osemu cannot do itself.
type controlPlaneProxy struct {
	url  string
	asks atomic.Int64 // requests for a token's identity

	mu      sync.Mutex
	failure func(http.ResponseWriter, *http.Request) // guarded by mu: answers Access Management calls; nil: osemu answers them
}

func (s *stack) controlPlaneProxy() *controlPlaneProxy {
	s.t.Helper()
	target, err := url.Parse(s.emulator.url)
	if err != nil {
		s.t.Fatal(err)
	}
	f := &controlPlaneProxy{}
	pass := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/accounts/api/me" {
			f.asks.Add(1)
		}
		f.mu.Lock()
		trouble := f.failure
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

// setFailure sets the handler of Access Management calls from now on; nil: osemu
// answers them.
func (f *controlPlaneProxy) setFailure(trouble func(http.ResponseWriter, *http.Request)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failure = trouble
}

// The failures of a control plane.
func resetConnection(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func answer500(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }

func answer429(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Retry-After", "1")
	w.WriteHeader(http.StatusTooManyRequests)
}

// answerNever answers long after the gateway has stopped waiting.
func answerNever(_ http.ResponseWriter, r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-time.After(testTimeout):
	}
}

// mintAt requests a token of a control plane directly from osemu, so that the gateway
// does not know it.
func (e *emulator) mintAt(t testing.TB, app, plane string) string {
	t.Helper()
	form := "client_id=" + app + "&client_secret=secret-" + strings.TrimPrefix(app, "app-") + "&grant_type=client_credentials"
	a := client{t: t, base: e.url}.send(http.MethodPost, "/"+plane+"/accounts/oauth2/token", form, "Content-Type: application/x-www-form-urlencoded")
	return a.is(http.StatusOK).token()
}
