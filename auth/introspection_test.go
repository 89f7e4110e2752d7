package auth_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"osgate/auth"
)

// introspected returns a resolver for the plane eu with this introspection endpoint.
func introspected(t *testing.T, answer http.HandlerFunc) *auth.Introspection {
	t.Helper()
	a := accounts(t, answer)
	return &auth.Introspection{Transport: a.Transport, Endpoint: a.Endpoint, ClientID: "gateway", Secret: "s3cret"}
}

func TestIntrospectionNamesThePrincipal(t *testing.T) {
	exp := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	seconds, millis := fmt.Sprint(exp.Unix()), fmt.Sprint(exp.UnixMilli())
	for _, tt := range []struct {
		name, body string
		want       auth.Principal
	}{
		{"client", `{"active":true,"client_id":"app"}`, auth.Principal{Client: "app"}},
		{"client that acts for a user", `{"active":true,"client_id":"app","user_id":"u","sub":"s","username":"n"}`, auth.Principal{Client: "app", User: "u"}},
		{"client and subject", `{"active":true,"client_id":"app","sub":"s","username":"n"}`, auth.Principal{Client: "app", User: "s"}},
		{"client that is its own subject", `{"active":true,"client_id":"app","sub":"app"}`, auth.Principal{Client: "app"}},
		{
			"client_credentials app with its creator", `{"active":true,"client_id":"app","user_id":"u","username":"n","grant_type":"client_credentials"}`,
			auth.Principal{Client: "app"},
		},
		{"login, as the vendor's example", `{"active":true,"token_type":"bearer","user_id":"u","username":"n","client_id":null}`, auth.Principal{User: "u"}},
		{"no client", `{"active":true,"sub":"s","username":"n"}`, auth.Principal{User: "s"}},
		{"empty client", `{"active":true,"client_id":"","username":"n"}`, auth.Principal{User: "n"}},
		{"user of a grant without its client", `{"active":true,"user_id":"u","grant_type":"client_credentials"}`, auth.Principal{User: "u"}},
		{"organization", `{"active":true,"client_id":"app","org_id":"root"}`, auth.Principal{Client: "app", Organizations: []string{"root"}}},
		{"end in seconds", `{"active":true,"client_id":"app","exp":` + seconds + `}`, auth.Principal{Client: "app", Expires: exp}},
		{"end in milliseconds", `{"active":true,"client_id":"app","exp":` + millis + `}`, auth.Principal{Client: "app", Expires: exp}},
		{"end as text", `{"active":true,"client_id":"app","exp":"` + seconds + `"}`, auth.Principal{Client: "app", Expires: exp}},
		{"end with a fraction", `{"active":true,"client_id":"app","exp":` + seconds + `.5}`, auth.Principal{Client: "app", Expires: exp.Add(time.Second / 2)}},
		{"null end", `{"active":true,"client_id":"app","exp":null}`, auth.Principal{Client: "app"}},
		{"scheme in capitals", `{"active":true,"client_id":"app","token_type":"Bearer"}`, auth.Principal{Client: "app"}},
		{"extension members", `{"active":true,"client_id":"app","aud":["a"],"cnf":{"x":1},"iat":1539823220995}`, auth.Principal{Client: "app"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := resolve(t, introspected(t, says(tt.body)), "eu", auth.NewToken("t"))
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Plane = "eu"
			if diff := cmp.Diff(tt.want, *got, cmpopts.EquateEmpty(), cmpopts.EquateApproxTime(0)); diff != "" {
				t.Errorf("principal (-want +got):\n%s", diff)
			}
		})
	}
}

func TestIntrospectionDistinguishesRefusalFromFailure(t *testing.T) {
	past := fmt.Sprint(time.Now().Add(-time.Minute).Unix())
	for _, tt := range []struct {
		name    string
		status  int
		body    string
		refused bool
	}{
		{"not active", 200, `{"active":false}`, true},
		{"not active, with more", 200, `{"active":false,"client_id":"TOKEN"}`, true},
		{"over by its own word", 200, `{"active":true,"client_id":"app","exp":` + past + `}`, true},
		{"over, in milliseconds", 200, `{"active":true,"client_id":"app","exp":` + past + `000}`, true},
		{"over since 1970", 200, `{"active":true,"client_id":"app","exp":0}`, true},
		{"over before 1970", 200, `{"active":true,"client_id":"app","exp":-1}`, true},
		{"over before all times", 200, `{"active":true,"client_id":"app","exp":-1e300}`, true},
		{"over in the year 1, the zero time", 200, `{"active":true,"client_id":"app","exp":-62135596800}`, true},
		{"over, as text", 200, `{"active":true,"client_id":"app","exp":"0"}`, true},
		{"over, whoever it was", 200, `{"active":true,"exp":1}`, true},
		{"a refresh token", 200, `{"active":true,"client_id":"app","token_type":"refresh_token"}`, true},
		{"bound to a key", 200, `{"active":true,"client_id":"app","token_type":"DPoP"}`, true},
		{"our credentials are wrong", 401, `{"error":"invalid_client TOKEN SECRET"}`, false},
		{"we may not", 403, "TOKEN SECRET", false},
		{"our question is wrong", 400, `{"error":"invalid_request"}`, false},
		{"404", 404, "TOKEN", false},
		{"429", 429, "TOKEN", false},
		{"500", 500, "SECRET", false},
		{"another 2xx", 204, "", false},
		{"redirect", 302, "", false},
		{"empty", 200, "", false},
		{"text", 200, "TOKEN SECRET", false},
		{"null", 200, "null", false},
		{"does not say", 200, `{"client_id":"app"}`, false},
		{"null active", 200, `{"active":null,"client_id":"app"}`, false},
		{"active is text", 200, `{"active":"TOKEN"}`, false},
		{"nobody", 200, `{"active":true}`, false},
		{"nobody, empty", 200, `{"active":true,"client_id":"","user_id":""}`, false},
		{"wrong type of a client id", 200, `{"active":true,"client_id":{"TOKEN":"SECRET"}}`, false},
		{"an end that is no finite number", 200, `{"active":true,"client_id":"app","exp":1e400}`, false},
		{"an end that is infinite text", 200, `{"active":true,"client_id":"app","exp":"Inf"}`, false},
		{"an end that is no number to JSON", 200, `{"active":true,"client_id":"app","exp":"0x7fffffffff"}`, false},
		{"an end that is true", 200, `{"active":true,"client_id":"app","exp":true}`, false},
		{"an end that is a list", 200, `{"active":true,"client_id":"app","exp":[4102444800]}`, false},
		{"an end that is none", 200, `{"active":true,"client_id":"app","exp":"TOKEN"}`, false},
		{"cut short", 200, `{"active":true,"client_id":"TOKEN"`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := introspected(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "/"+secret)
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, strings.NewReplacer("TOKEN", secret, "SECRET", "s3cret").Replace(tt.body))
			})
			id, err := resolve(t, i, "eu", auth.NewToken(secret))
			failure, unavailable := errors.AsType[*auth.UnavailableError](err)
			if id != nil || errors.Is(err, auth.ErrBadToken) != tt.refused || unavailable == tt.refused {
				t.Fatalf("%+v, %v; want refused: %v", id, err, tt.refused)
			}
			if unavailable && (failure.Plane != "eu" || failure.Unreached || failure.Limited != (tt.status == 429)) {
				t.Errorf("%+v", failure)
			}
			if result := fmt.Sprintf("%v %+v", err, err); strings.Contains(result, secret) || strings.Contains(result, "s3cret") {
				t.Errorf("the error quotes the answer: %v", err)
			}
		})
	}
}

// An answer that is not HTTP may repeat the request, and the transport quotes it.
func TestIntrospectionErrorsHoldNoSecret(t *testing.T) {
	const odd = "a secret & more: ü"
	token := "to&ken+/="
	for _, sent := range []string{
		odd, url.QueryEscape(odd), token, url.QueryEscape(token),
		base64.StdEncoding.EncodeToString([]byte("gate+way:" + url.QueryEscape(odd))),
	} {
		i := introspected(t, func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(conn, "HTTP/"+sent+" 200 OK\r\n\r\n")
			_ = conn.Close()
		})
		i.ClientID, i.Secret = "gate way", odd
		_, err := resolve(t, i, "eu", auth.NewToken(token))
		failure, ok := errors.AsType[*auth.UnavailableError](err)
		if !ok || !failure.Unreached || strings.Contains(err.Error(), sent) {
			t.Errorf("%v holds %q", err, sent)
		}
	}
	i := auth.Introspection{URL: &url.URL{Scheme: "http", Host: "a host", RawQuery: "key=hunter2"}, ClientID: "gateway", Secret: "s3cret"}
	if _, err := resolve(t, &i, "eu", auth.NewToken("xyzzy")); err == nil || errors.Is(err, auth.ErrBadToken) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a URL that is none: %v", err)
	}
}

func TestIntrospectionRequestIsTheStandards(t *testing.T) {
	var got *http.Request
	var form url.Values
	i := introspected(t, func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		got, form = r.Clone(r.Context()), r.PostForm
		says(`{"active":true,"client_id":"app"}`)(w, r)
	})
	// Encoded first, so that the colon is no separator (RFC 6749 section 2.3.1).
	i.ClientID, i.Secret = "gate:way", "s cret+&ü"
	resolver := func() {
		t.Helper()
		if _, err := resolve(t, i, "eu", auth.NewToken("a+b&c=/")); err != nil {
			t.Fatal(err)
		}
		id, secret, _ := got.BasicAuth()
		if id != "gate%3Away" || secret != "s+cret%2B%26%C3%BC" {
			t.Errorf("credentials %q, %q", id, secret)
		}
		want := url.Values{"token": {"a+b&c=/"}, "token_type_hint": {"access_token"}}
		if diff := cmp.Diff(want, form); diff != "" || got.Method != http.MethodPost || got.URL.RawQuery != "" {
			t.Errorf("%s %s with (-want +got):\n%s", got.Method, got.RequestURI, diff)
		}
		for name, want := range map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json", "User-Agent": "osgate"} {
			if got.Header.Get(name) != want {
				t.Errorf("%s: %q, want %q", name, got.Header.Get(name), want)
			}
		}
	}
	resolver()
	if got.Host != "eu1.anypoint.mulesoft.com" || got.URL.Path != "/accounts/api/v2/oauth2/introspect" {
		t.Errorf("asked %s of %s", got.URL.Path, got.Host)
	}
	i.URL = i.Endpoint("eu").URL.JoinPath("/oauth/check")
	i.Endpoint = nil
	resolver()
	if got.Host != i.URL.Host || got.URL.Path != "/oauth/check" {
		t.Errorf("asked %s of %s", got.URL.Path, got.Host)
	}
}

func TestIntrospectionFollowsNoRedirect(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("asked %s", r.URL) }))
	defer other.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		i := introspected(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", other.URL)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{"active":true,"client_id":"evil"}`)
		})
		if id, err := resolve(t, i, "eu", auth.NewToken(secret)); id != nil || err == nil || errors.Is(err, auth.ErrBadToken) {
			t.Errorf("%d: %+v, %v", status, id, err)
		}
	}
}

func TestIntrospectionReadsNoAnswerWithoutEnd(t *testing.T) {
	i := &auth.Introspection{Endpoint: endpoint, Transport: transport(func(*http.Request) (*http.Response, error) {
		endless := io.MultiReader(strings.NewReader(`{"active":true,"client_id":"`), strings.NewReader(strings.Repeat("x", 1<<21)), strings.NewReader(`"}`))
		return &http.Response{StatusCode: 200, Body: io.NopCloser(endless)}, nil
	})}
	if id, err := resolve(t, i, "us", auth.NewToken("t")); id != nil || err == nil || errors.Is(err, auth.ErrBadToken) {
		t.Errorf("%+v, %v", id, err)
	}
}

func TestIntrospectionNeverPrints(t *testing.T) {
	i := auth.Introspection{Endpoint: endpoint, ClientID: "gateway", Secret: secret}
	type named struct{ Asker auth.Introspection }
	type embedded struct{ auth.Introspection }
	for name, v := range map[string]any{"value": i, "pointer": &i, "field": named{i}, "embedded": &embedded{i}} {
		for how, printed := range prints(t, v, verbs...) {
			if exposes(printed, secret) {
				t.Errorf("%s by %s: %s", name, how, printed)
			}
		}
	}
	if printed := fmt.Sprintf("%v %+v %#v", struct{ v any }{&i}, struct{ v any }{&i}, struct{ v any }{&i}); exposes(printed, secret) {
		t.Errorf("its holder: %s", printed)
	}
	if i.String() != "[redacted]" || i.GoString() != "[redacted]" || i.LogValue().String() != "[redacted]" {
		t.Errorf("String %q, GoString %q, LogValue %q", i.String(), i.GoString(), i.LogValue())
	}
}

func TestValidatorsAreDistinguished(t *testing.T) {
	at := func(base string) func(string) auth.Endpoint {
		to, err := url.Parse(base)
		if err != nil {
			t.Fatal(err)
		}
		return func(plane string) auth.Endpoint { return auth.Endpoint{URL: to, Host: plane + ".example"} }
	}
	one, _ := url.Parse("https://one.example/check")
	seen := map[string]bool{}
	for _, a := range []auth.Resolver{
		&auth.Anypoint{Endpoint: at("https://a.example")},
		&auth.Anypoint{Endpoint: at("http://127.0.0.1:8090")},
		&auth.Introspection{Endpoint: at("https://a.example"), ClientID: "gateway", Secret: "s3cret"},
		&auth.Introspection{Endpoint: at("https://a.example"), ClientID: "another"},
		&auth.Introspection{URL: one, ClientID: "gateway"},
	} {
		name := a.Validator("us")
		if seen[name] || name != a.Validator("us") || strings.Contains(name, "s3cret") {
			t.Errorf("%T is %q", a, name)
		}
		seen[name] = true
	}
	secretly := &auth.Anypoint{Endpoint: at("https://user:s3cret@a.example")}
	if got := secretly.Validator("us"); strings.Contains(got, "s3cret") {
		t.Errorf("%q", got)
	}
}

// For any answer of the authorization server, the result is a principal with a name
// whose token has not ended, or an error, and no error quotes the answer.
func FuzzIntrospection(f *testing.F) {
	for _, body := range []string{
		`{"active":true,"client_id":"a","exp":1e11,"org_id":"o"}`, `{"active":true,"client_id":null,"user_id":"u","exp":1539857830528}`, `{"active":false}`,
		`{"active":true,"sub":"s","exp":1e308}`, `{"active":true,"sub":"s","exp":-1}`, `{"active":true,"sub":"s","exp":"9"}`, `null`, `[]`, `"` + secret + `"`, ``,
		`{"active":true,"client_id":"a","exp":4102444800}`,
	} {
		f.Add(http.StatusOK, body)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		i := auth.Introspection{Endpoint: endpoint, Secret: "s3cret", Transport: transport(func(*http.Request) (*http.Response, error) { return response(status, nil, body), nil })}
		result, err := i.Lookup(t.Context(), "us", auth.NewToken(secret))
		got := result.Principal
		if (got == nil) != (err != nil) || err != nil && strings.Contains(err.Error(), secret) {
			t.Fatalf("%+v, %v", got, err)
		}
		if err != nil {
			return
		}
		if got.Plane != "us" || got.Name() == "" || got.Name() == "user:" || status != http.StatusOK || !strings.Contains(strings.ToLower(body), "active") {
			t.Errorf("%q makes %+v", body, got)
		}
		if !got.Expires.IsZero() && (time.Until(got.Expires) < -time.Minute || got.Expires.Year() > 9999) {
			t.Errorf("%q ends %v", body, got.Expires)
		}
	})
}
