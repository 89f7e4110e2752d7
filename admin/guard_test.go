package admin_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestTokenGuardsAllButHealth(t *testing.T) {
	h := newHandler(t, public())
	for _, tt := range []struct {
		method, path  string
		without, with int
	}{
		{http.MethodGet, "/livez", 200, 200},
		{http.MethodGet, "/readyz", 200, 200},
		{http.MethodGet, "/assets/style.css", 200, 200},
		{http.MethodGet, "/favicon.svg", 200, 200},
		{http.MethodGet, "/", 401, 200},
		{http.MethodGet, "/metrics", 401, 200},
		{http.MethodGet, "/config", 401, 200},
		{http.MethodGet, "/api/overview", 401, 200},
		{http.MethodGet, "/api/recent", 401, 200},
		{http.MethodGet, "/api/history", 401, 200},
		{http.MethodGet, "/api/fleet", 401, 200},
		{http.MethodGet, "/api/client?id=app-one", 401, 200},
		{http.MethodGet, "/api/search?q=app", 401, 200},
		{http.MethodGet, "/api/policy", 401, 200},
		{http.MethodHead, "/api/live", 401, 200},
		{http.MethodGet, "/assets/app.js", 401, 200},
		{http.MethodGet, "/nothing", 401, 404},
		{http.MethodPut, "/metrics", 401, 405},
		{http.MethodPost, "/cache/purge", 401, 200},
	} {
		purge := []string{`{"all":true}`, "Content-Type: application/json"}
		for auth, want := range map[string]int{
			"Authorization: Bearer " + token:                         tt.with,
			"Authorization: bearer " + token:                         tt.with,
			"X-Nothing: at all":                                      tt.without,
			"Authorization: Basic " + token:                          tt.without,
			"Cookie: osgate_admin=" + url.QueryEscape(token):         tt.without,
			"Cookie: osgate_admin=" + strings.Repeat("A", 54):        tt.without,
			"Authorization: " + token:                                tt.without,
			"Proxy-Authorization: Bearer " + token:                   tt.without,
			"Cookie: osgate_admin=; Authorization=Bearer%20" + token: tt.without,
		} {
			answer := send(t, h, tt.method, tt.path, purge[0], purge[1], auth)
			if answer.StatusCode != want {
				t.Errorf("%s %s with %q: %d, want %d", tt.method, tt.path, auth, answer.StatusCode, want)
			}
			if want == http.StatusUnauthorized && answer.Header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s %s: 401 without WWW-Authenticate (RFC 9110 section 11.6.1)", tt.method, tt.path)
			}
		}
	}
}

func TestWrongTokensAreRefused(t *testing.T) {
	for _, wrong := range []string{"", "x", token + "x", token[1:], strings.ToUpper(token)} {
		h := newHandler(t, public())
		if answer := send(t, h, http.MethodGet, "/config", "", "Authorization: Bearer "+wrong); answer.StatusCode != http.StatusUnauthorized {
			t.Errorf("token %q: %d, want 401", wrong, answer.StatusCode)
		}
	}
}

func TestLoopbackIsReachedByLoopbackNamesOnly(t *testing.T) {
	withToken := options()
	withToken.Token = token
	for name, h := range map[string]http.Handler{"without token": newHandler(t, options()), "with token": newHandler(t, withToken)} {
		for host, want := range map[string]int{
			"localhost":                200,
			"LocalHost:8081":           200,
			"127.0.0.1":                200,
			"127.9.8.7:1":              200,
			"[::1]":                    200,
			"[::1]:8081":               200,
			"::1":                      200,
			"[::ffff:127.0.0.1]:8081":  200,
			"":                         403,
			"example.com":              403,
			"localhost.example.com":    403,
			"127.0.0.1.example.com":    403,
			"127.1":                    403,
			"0.0.0.0:8081":             403,
			"10.0.0.1":                 403,
			"[fe80::1]:8081":           403,
			"localhost:8081.evil.test": 403,
			"localhost:":               403,
		} {
			for _, path := range []string{"/livez", "/", "/api/overview"} {
				answer := send(t, h, http.MethodGet, path, "", "Host: "+host, "Authorization: Bearer "+token)
				if answer.StatusCode != want {
					t.Errorf("%s, %s, Host %q: %d, want %d", name, path, host, answer.StatusCode, want)
				}
				if want == http.StatusForbidden {
					readProblem(t, answer, want)
				}
			}
		}
	}
}

func TestListenerOfTheNetworkHasAnyName(t *testing.T) {
	h := newHandler(t, public())
	if answer := send(t, h, http.MethodGet, "/config", "", "Host: osgate.example.com:8081", "Authorization: Bearer "+token); answer.StatusCode != http.StatusOK {
		t.Errorf("a name of the network: %d, want 200", answer.StatusCode)
	}
}

func TestOtherSitesCannotPost(t *testing.T) {
	for name, h := range map[string]http.Handler{"loopback": newHandler(t, options()), "network": newHandler(t, public())} {
		for _, tt := range []struct {
			header string
			want   int
		}{
			{"Sec-Fetch-Site: cross-site", 403},
			{"Sec-Fetch-Site: same-site", 403},
			{"Origin: https://evil.test", 403},
			{"Origin: null", 403},
			{"Sec-Fetch-Site: same-origin", 200},
			{"Origin: http://localhost:8081", 200},
			{"User-Agent: curl", 200},
		} {
			answer := send(t, h, http.MethodPost, "/cache/purge", `{"all":true}`,
				"Content-Type: application/json", "Authorization: Bearer "+token, tt.header)
			if answer.StatusCode != tt.want {
				t.Errorf("%s, %s: %d, want %d", name, tt.header, answer.StatusCode, tt.want)
			}
			if tt.want == http.StatusForbidden {
				readProblem(t, answer, tt.want)
			}
		}
	}
}

// login posts the form and returns the answer.
func login(t *testing.T, h http.Handler, given string, headers ...string) *http.Response {
	t.Helper()
	form := url.Values{"username": {"osgate"}, "token": {given}}.Encode()
	return send(t, h, http.MethodPost, "/login", form, append(headers, "Content-Type: application/x-www-form-urlencoded")...)
}

func TestLoginGivesACookieThatOpensThePage(t *testing.T) {
	for forwarded, secure := range map[string]bool{"": false, "http": false, "https": true, "HTTPS, http": true, "http, https": false} {
		h := newHandler(t, public())
		answer := login(t, h, token, "X-Forwarded-Proto: "+forwarded)
		if answer.StatusCode != http.StatusSeeOther || answer.Header.Get("Location") != "/" || len(answer.Cookies()) != 1 {
			t.Fatalf("login: %d to %q with cookies %v, want 303 to / with one", answer.StatusCode, answer.Header.Get("Location"), answer.Cookies())
		}
		c := answer.Cookies()[0]
		if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Secure != secure || c.Path != "/" || c.MaxAge != 12*60*60 || strings.Contains(c.Value, token) {
			t.Errorf("X-Forwarded-Proto %q: cookie %s", forwarded, c)
		}
		cookie := "Cookie: " + c.Name + "=" + c.Value
		if body := text(t, send(t, h, http.MethodGet, "/", "", cookie)); !strings.Contains(body, "Requests by outcome") {
			t.Errorf("the cookie does not open the page: %s", body)
		}
		if body := text(t, send(t, h, http.MethodGet, "/api/overview", "", cookie)); !strings.Contains(body, `"session":true`) {
			t.Errorf("the overview does not report the session: %s", body)
		}
	}
}

func TestCookieOfATLSListenerIsForTLSOnly(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "https://localhost/logout", nil)
	w := httptest.NewRecorder()
	newHandler(t, public()).ServeHTTP(w, r)
	if c := w.Result().Cookies(); len(c) != 1 || !c[0].Secure {
		t.Errorf("cookies %v, want one that is secure", c)
	}
}

func TestSessionEndsWithItsTimeAndItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHandler(t, public())
		c := login(t, h, token).Cookies()[0]
		cookie := "Cookie: " + c.Name + "=" + c.Value
		other := public()
		other.Token = "another token"
		for name, tt := range map[string]struct {
			h    http.Handler
			want int
		}{
			"the process restarted": {newHandler(t, public()), 200},
			"the token was changed": {newHandler(t, other), 401},
		} {
			if got := send(t, tt.h, http.MethodGet, "/config", "", cookie).StatusCode; got != tt.want {
				t.Errorf("%s: %d, want %d", name, got, tt.want)
			}
		}
		<-time.After(12*time.Hour - time.Second) // the session's life
		if got := send(t, h, http.MethodGet, "/config", "", cookie).StatusCode; got != http.StatusOK {
			t.Errorf("a second before its end: %d, want 200", got)
		}
		<-time.After(time.Second) // its last second
		if got := send(t, h, http.MethodGet, "/config", "", cookie).StatusCode; got != http.StatusUnauthorized {
			t.Errorf("at its end: %d, want 401", got)
		}
	})
}

func TestSessionCannotBeForged(t *testing.T) {
	h := newHandler(t, public())
	value := login(t, h, token).Cookies()[0].Value
	for i := range len(value) {
		forged := []byte(value)
		forged[i] = map[bool]byte{true: 'B', false: 'A'}[forged[i] == 'A']
		// The last character holds two bits that are not part of the value; a decoder
		// may ignore them.
		if i == len(value)-1 {
			break
		}
		if got := send(t, h, http.MethodGet, "/config", "", "Cookie: osgate_admin="+string(forged)).StatusCode; got != http.StatusUnauthorized {
			t.Errorf("with character %d changed: %d, want 401", i, got)
		}
	}
}

func TestLogoutDeletesTheCookie(t *testing.T) {
	answer := send(t, newHandler(t, public()), http.MethodPost, "/logout", "")
	if c := answer.Cookies(); len(c) != 1 || c[0].MaxAge >= 0 || c[0].Value != "" || answer.StatusCode != http.StatusSeeOther {
		t.Errorf("logout: %d with cookies %v, want 303 with one that has expired", answer.StatusCode, c)
	}
}

func TestPageWithoutATokenIsTheLoginForm(t *testing.T) {
	h := newHandler(t, public())
	answer := send(t, h, http.MethodGet, "/", "")
	if body := text(t, answer); answer.StatusCode != http.StatusUnauthorized || !strings.Contains(body, `action="/login"`) || strings.Contains(body, "Requests by outcome") {
		t.Errorf("the page without a token: %d %s, want the login form", answer.StatusCode, body)
	}
	answer = login(t, h, "wrong")
	if body := text(t, answer); answer.StatusCode != http.StatusUnauthorized || !strings.Contains(body, `role="alert">Wrong token`) || len(answer.Cookies()) > 0 {
		t.Errorf("a wrong login: %d %s, want the form with an error", answer.StatusCode, body)
	}
	if answer := send(t, h, http.MethodGet, "/login", ""); answer.StatusCode != http.StatusSeeOther {
		t.Errorf("GET /login: %d, want 303 to the page", answer.StatusCode)
	}
}

// Browsers do not send Sec-Fetch-Site over plain http, but they send the origin.
func TestLoginWorksOverPlainHTTPFromTheNetwork(t *testing.T) {
	h := newHandler(t, public())
	if answer := login(t, h, token, "Host: 10.0.0.5:8081", "Origin: http://10.0.0.5:8081"); answer.StatusCode != http.StatusSeeOther {
		t.Errorf("login: %d, want 303", answer.StatusCode)
	}
}

func TestHugeLoginIsRefused(t *testing.T) {
	readProblem(t, login(t, newHandler(t, public()), strings.Repeat("x", 1<<20)), http.StatusBadRequest)
}

func TestLoopbackListenerWithoutATokenIsOpen(t *testing.T) {
	h := newHandler(t, options())
	for _, path := range []string{"/", "/config", "/metrics", "/api/overview", "/assets/app.js"} {
		if got := send(t, h, http.MethodGet, path, "").StatusCode; got != http.StatusOK {
			t.Errorf("%s: %d, want 200", path, got)
		}
	}
	if body := text(t, send(t, h, http.MethodGet, "/api/overview", "", "Cookie: osgate_admin="+strings.Repeat("A", 54))); !strings.Contains(body, `"session":false`) {
		t.Errorf("a session without a token: %s", body)
	}
}
