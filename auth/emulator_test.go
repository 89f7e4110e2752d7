package auth_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"osgate/auth"
	"osgate/emulator"
)

// world is an Access Management over real sockets.
type world struct {
	*emulator.Emulator

	server    *httptest.Server
	transport *http.Transport
}

func newWorld(t *testing.T, o emulator.Options) *world {
	t.Helper()
	o.Seed = 1
	e, err := emulator.New(o)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Emulator: e, server: httptest.NewServer(e), transport: &http.Transport{}}
	t.Cleanup(func() {
		w.transport.CloseIdleConnections()
		w.server.Close()
		_ = e.Close()
	})
	return w
}

// endpoint returns the address of a plane's Access Management, which is selected by
// Host.
func (w *world) endpoint(plane string) auth.Endpoint {
	to, _ := url.Parse(w.server.URL) // created by httptest
	return auth.Endpoint{URL: to, Host: map[string]string{"us": "anypoint.mulesoft.com", "eu": "eu1.anypoint.mulesoft.com"}[plane]}
}

func (w *world) me() auth.Resolver {
	return &auth.Anypoint{Transport: w.transport, Endpoint: w.endpoint}
}

func (w *world) introspection(id, secret string) auth.Resolver {
	return &auth.Introspection{Transport: w.transport, Endpoint: w.endpoint, ClientID: id, Secret: secret}
}

// call sends a form or JSON to a plane and returns the answer's body.
func (w *world) call(t *testing.T, plane, path, body string, header ...string) []byte {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = w.endpoint(plane).Host
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if strings.HasPrefix(body, "{") {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := w.transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	result, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode/100 != 2 {
		t.Fatalf("%s: %d %s %v", path, answer.StatusCode, result, err)
	}
	return result
}

func (w *world) mint(t *testing.T, plane, name string) auth.Token {
	t.Helper()
	result := w.call(t, plane, "/accounts/api/v2/oauth2/token", "grant_type=client_credentials&client_id=app-"+name+"&client_secret=secret-"+name)
	token, ok := auth.MintedToken(result)
	if !ok {
		t.Fatalf("minted %s", result)
	}
	return token
}

// requestsTo returns the number of requests that the emulator received at path.
func (w *world) requestsTo(path string) (n int) {
	for _, r := range w.Requests() {
		if r.Target == path {
			n++
		}
	}
	return n
}

func TestThousandFirstRequestsAreOneMe(t *testing.T) {
	w := newWorld(t, emulator.Options{})
	token := w.mint(t, "us", "one")
	a := newAuthenticator(t, nil, func(o *auth.Options) { o.Resolver = w.me() })
	var all sync.WaitGroup
	for range 1000 {
		all.Go(func() {
			if id, err := a.Identify(t.Context(), "us", token, ""); err != nil || id.Client != "app-one" || id.User != "" || !id.Member("org-root") || !id.Member("org-sub") {
				t.Errorf("%+v, %v", id.Principal, err)
			}
		})
	}
	all.Wait()
	if got := w.requestsTo("/accounts/api/me"); got != 1 {
		t.Errorf("%d lookups", got)
	}
	if _, err := a.Identify(t.Context(), "eu", token, ""); !errors.Is(err, auth.ErrBadToken) {
		t.Errorf("on another plane: %v", err)
	}
}

func TestRevokedTokenIsForgotten(t *testing.T) {
	w := newWorld(t, emulator.Options{})
	for _, form := range []bool{true, false} {
		token := w.mint(t, "us", "one")
		a := newAuthenticator(t, nil, func(o *auth.Options) { o.Resolver = w.me() })
		expect(t, a, "us", token, "fresh")
		text := strings.TrimPrefix(token.Header(), "Bearer ")
		body, contentType := "client_id=app-one&client_secret=secret-one&token="+text, "application/x-www-form-urlencoded"
		if !form {
			body, contentType = `{"client_id":"app-one","client_secret":"secret-one","token":"`+text+`"}`, "application/json"
		}
		w.call(t, "us", "/accounts/api/v2/oauth2/revoke", body)
		for _, revoked := range auth.RevokedTokens(contentType, []byte(body)) {
			a.Forget("us", revoked)
		}
		expect(t, a, "us", token, "refused")
	}
}

func TestIntrospectionAtTheEmulator(t *testing.T) {
	for _, times := range []string{"seconds", "milliseconds"} {
		w := newWorld(t, emulator.Options{Choose: map[string]string{"introspect-time": times}})
		a := newAuthenticator(t, nil, func(o *auth.Options) { o.Resolver = w.introspection("app-two", "secret-two") })
		id, err := a.Identify(t.Context(), "us", w.mint(t, "us", "one"), "")
		if err != nil || id.Client != "app-one" || id.User != "" {
			t.Fatalf("%s: %+v, %v", times, id.Principal, err)
		}
		if left := time.Until(id.Expires); left < 50*time.Minute || left > time.Hour {
			t.Errorf("%s: ends in %v, want an hour", times, left)
		}
		login, _ := auth.MintedToken(w.call(t, "us", "/accounts/login", `{"username":"admin","password":"admin-password"}`))
		if id, err = a.Identify(t.Context(), "us", login, ""); err != nil || id.Client != "" || id.User == "" {
			t.Errorf("login: %+v, %v", id.Principal, err)
		}
		for name, bad := range map[string]auth.Token{"nonsense": auth.NewToken("nonsense"), "of another plane": w.mint(t, "eu", "one")} {
			if _, err := a.Identify(t.Context(), "us", bad, ""); !errors.Is(err, auth.ErrBadToken) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	foreign := newWorld(t, emulator.Options{Choose: map[string]string{"introspect-foreign": "deny"}})
	a := newAuthenticator(t, nil, func(o *auth.Options) { o.Resolver = foreign.introspection("app-two", "secret-two") })
	expect(t, a, "us", foreign.mint(t, "us", "one"), "fresh")
	expect(t, a, "us", foreign.mint(t, "us", "other"), "refused")
	wrong := newAuthenticator(t, nil, func(o *auth.Options) { o.Resolver = foreign.introspection("app-two", "wrong") })
	expect(t, wrong, "us", foreign.mint(t, "us", "one"), "unavailable")
}

// Refreshes leave the last fifth of the allowance to callers that wait.
func TestAllowanceOfTheEmulatorIsKept(t *testing.T) {
	w := newWorld(t, emulator.Options{AccountsRate: 20})
	// The emulator counts by minutes of the clock: this one has just begun.
	if err := w.Advance(time.Until(time.Now().Truncate(time.Minute).Add(time.Minute))); err != nil {
		t.Fatal(err)
	}
	a := newAuthenticator(t, nil, func(o *auth.Options) { o.Resolver = w.me() })
	minted := w.mint(t, "us", "one")
	for range 8 {
		expect(t, a, "us", w.mint(t, "us", "one"), "fresh")
	}
	a.Warm("us", minted) // 3 of 20 are left
	if got := w.requestsTo("/accounts/api/me"); got != 8 {
		t.Errorf("%d lookups, want none without a waiting caller", got)
	}
	expect(t, a, "us", minted, "fresh")
	if got := w.requestsTo("/accounts/api/me"); got != 9 {
		t.Errorf("%d lookups, want one more for a waiting caller", got)
	}
}
