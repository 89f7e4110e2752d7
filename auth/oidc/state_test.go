package oidc_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"osgate/auth/oidc"
)

// TestStatesAreReported with the keys and their age, and each change once.
func TestStatesAreReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newKey(t, "a")
		is := newIssuer(t, key)
		var changes []oidc.IssuerState
		var v *oidc.Verifier
		v = newVerifier(t, is, func(o *oidc.Options) {
			o.OnChange = func(s oidc.IssuerState) { changes = append(changes, s); _ = v.States() }
		})
		began := time.Now()
		want := func(state oidc.IssuerState) {
			t.Helper()
			synctest.Wait()
			got := v.States()
			if len(got) != 1 || got[0] != state {
				t.Errorf("States = %+v, want %+v", got, state)
			}
		}
		want(oidc.IssuerState{Issuer: is.URL, Reachable: true, Since: began})
		pass(time.Second)
		v.Warm()
		v.Warm()
		want(oidc.IssuerState{Issuer: is.URL, Reachable: true, Since: began, Keys: 1})
		wantFetches(t, is, 1)
		pass(refresh)
		is.become(down)
		wantCaller(t, v, key.token(t, is.claims(nil)))
		failed := time.Now()
		away := oidc.IssuerState{
			Issuer: is.URL, Since: failed, Keys: 1, Age: refresh,
			LastError: "localhost/realm" + discoveryPath + " answered 500",
		}
		want(away)
		pass(interval)
		wantCaller(t, v, key.token(t, is.claims(nil)))
		away.Age += interval
		want(away)
		is.become(nil)
		pass(interval)
		wantCaller(t, v, key.token(t, is.claims(nil)))
		want(oidc.IssuerState{
			Issuer: is.URL, Reachable: true, Since: time.Now(), Keys: 1, LastError: away.LastError,
		})
		if len(changes) != 2 || changes[0].Reachable || !changes[1].Reachable || changes[0].LastError == "" {
			t.Errorf("the changes are %+v", changes)
		}
	})
}

// TestCloseWaitsForFetches. No fetch begins after it.
func TestCloseWaitsForFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newKey(t, "a")
		is := newIssuer(t, key)
		is.become(func(http.ResponseWriter, *http.Request) bool { pass(time.Second); return false })
		v := newVerifier(t, is)
		v.Warm()
		began := time.Now()
		v.Close()
		if time.Since(began) != 2*time.Second || is.fetches() != 1 {
			t.Errorf("Close took %v, with %d fetches", time.Since(began), is.fetches())
		}
		wantCaller(t, v, key.token(t, is.claims(nil)))
		pass(interval)
		_ = wantUnavailable(t, v, newKey(t, "b").token(t, is.claims(nil)), is.URL)
		pass(refresh)
		wantCaller(t, v, key.token(t, is.claims(nil)))
		wantFetches(t, is, 1)
	})
}

// TestAnswersOfTheIssuerThatAreNotBelieved, each with its cause.
func TestAnswersOfTheIssuerThatAreNotBelieved(t *testing.T) {
	text := func(body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool { _, _ = w.Write([]byte(body)); return true }
	}
	moved := func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/moved") {
			return false
		}
		http.Redirect(w, r, "/moved", http.StatusFound)
		return true
	}
	cut := func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte(`{"issuer":`))
		return true
	}
	const keys = `"jwks_uri":"http://localhost/realm/keys"`
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request) bool
		cause  string
	}{
		"another issuer":      {text(`{"issuer":"http://localhost/other",` + keys + `}`), "another issuer"},
		"a slash more":        {text(`{"issuer":"http://localhost/realm/",` + keys + `}`), "another issuer"},
		"no issuer":           {text(`{` + keys + `}`), "another issuer"},
		"two issuers":         {text(`{"issuer":"http://localhost/realm","issuer":"b",` + keys + `}`), "expected form"},
		"an issuer of a list": {text(`{"issuer":["http://localhost/realm"],` + keys + `}`), "expected form"},
		"a page":              {text("<html>"), "expected form"},
		"nothing":             {text(""), "expected form"},
		"a long document":     {text(strings.Repeat(" ", 300<<10) + "{}"), "more than 262144 bytes"},
		"no URL of keys":      {text(`{"issuer":"http://localhost/realm"}`), "jwks_uri"},
		"a far URL by http": {
			text(`{"issuer":"http://localhost/realm","jwks_uri":"http://keys.example/keys"}`), "https, or http on loopback",
		},
		"a file": {text(`{"issuer":"http://localhost/realm","jwks_uri":"file:///etc/keys"}`), "jwks_uri"},
		"404":    {func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(404); return true }, "answered 404"},
		"201":    {func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(201); return true }, "answered 201"},
		"moved":  {moved, "answered 302"},
		"cut":    {cut, "reading the answer of localhost: unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			key := newKey(t, "a")
			is := newIssuer(t, key)
			is.become(c.answer)
			v := newVerifier(t, is)
			failure := wantUnavailable(t, v, key.token(t, is.claims(nil)), is.URL)
			if !strings.Contains(failure.Cause.Error(), c.cause) || failure.Unreached {
				t.Errorf("the cause is %v, want %q", failure.Cause, c.cause)
			}
			if is.attempts() != 1 {
				t.Errorf("the issuer received %d requests", is.attempts())
			}
		})
	}
}

// TestAnHTTPSIssuerHasKeysByHTTPS, also not by http on loopback, where another program
// may answer.
func TestAnHTTPSIssuerHasKeysByHTTPS(t *testing.T) {
	key := newKey(t, "a")
	is := newIssuer(t, key)
	is.document = object{"issuer": "https://localhost/realm"}
	v := newVerifier(t, is, func(o *oidc.Options) {
		o.Issuers = []oidc.Issuer{{URL: "https://localhost/realm"}}
		o.Transport = plain{is.transport}
	})
	token := key.token(t, is.claims(object{"iss": "https://localhost/realm"}))
	failure := wantUnavailable(t, v, token, "https://localhost/realm")
	if !strings.Contains(failure.Error(), "not https") {
		t.Errorf("Verify: %v", failure)
	}
}

// plain sends requests by http.
type plain struct{ transport http.RoundTripper }

func (p plain) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme = "http"
	return p.transport.RoundTrip(r)
}

// TestSetsOfKeysThatAreNotBelieved as a whole.
func TestSetsOfKeysThatAreNotBelieved(t *testing.T) {
	key := newKey(t, "a")
	jwk := marshal(t, key.jwk())
	for name, set := range map[string]string{
		"no keys": `{}`, "null": `{"keys":null}`, "an object": `{"keys":{}}`, "two sets": `{"keys":[` + jwk + `],"keys":[]}`,
		"a list": `[` + jwk + `]`, "more": `{"keys":[` + jwk + `]}{}`,
		"too many":                `{"keys":[` + strings.Repeat(jwk+",", 100) + jwk + `]}`,
		"too long":                `{"keys":[` + jwk + `],"x":"` + strings.Repeat("x", 1<<20) + `"}`,
		"a key with a name twice": `{"keys":[` + jwk + `,{"kty":"EC","kty":"RSA"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			is := newIssuer(t, key)
			is.become(func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, keysPath) {
					return false
				}
				_, _ = w.Write([]byte(set))
				return true
			})
			_ = wantUnavailable(t, newVerifier(t, is), key.token(t, is.claims(nil)), is.URL)
		})
	}
}
