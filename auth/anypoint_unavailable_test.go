package auth_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"osgate/auth"
)

// transport is an http.RoundTripper in one function.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func endpoint(string) auth.Endpoint {
	return auth.Endpoint{URL: &url.URL{Scheme: "https", Host: "anypoint.mulesoft.com"}, Host: "anypoint.mulesoft.com"}
}

func response(status int, header http.Header, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body))}
}

// echo returns a handler that repeats the token in its answer.
func echo(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Www-Authenticate", r.Header.Get("Authorization"))
		w.Header().Set("Location", "/"+r.Header.Get("Authorization"))
		w.WriteHeader(status)
		_, _ = io.WriteString(w, strings.ReplaceAll(body, "TOKEN", strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")))
	}
}

func TestRefusalIsDistinguishedFromFailure(t *testing.T) {
	for _, tt := range []struct {
		name    string
		answer  http.HandlerFunc
		refused bool
	}{
		{"401", echo(401, "TOKEN"), true},
		{"403", echo(403, "TOKEN"), true},
		{"400", echo(400, "TOKEN"), false},
		{"404", echo(404, "TOKEN"), false},
		{"407", echo(407, "TOKEN"), false},
		{"429", echo(429, "TOKEN"), false},
		{"500", echo(500, "TOKEN"), false},
		{"502", echo(502, "TOKEN"), false},
		{"503", echo(503, "TOKEN"), false},
		{"301", echo(301, "TOKEN"), false},
		{"302", echo(302, "TOKEN"), false},
		{"307", echo(307, "TOKEN"), false},
		{"another 2xx", echo(206, `{"client":{"client_id":"app"}}`), false},
		{"204", echo(204, ""), false},
		{"empty", echo(200, ""), false},
		{"text", echo(200, "TOKEN"), false},
		{"a web page", echo(200, "<html>TOKEN</html>"), false},
		{"the token as JSON", echo(200, `"TOKEN"`), false},
		{"a list", echo(200, `["TOKEN"]`), false},
		{"wrong type of a field", echo(200, `{"client":"TOKEN"}`), false},
		{"wrong type of a client id", echo(200, `{"client":{"client_id":{"TOKEN":"TOKEN"}}}`), false},
		{"wrong type of a client id, quoted by encoding/json", echo(200, `{"client":{"client_id":TOKEN}}`), false},
		{"cut short", echo(200, `{"client":{"client_id":"TOKEN"`), false},
		{"neither client nor user", echo(200, `{"message":"TOKEN"}`), false},
		{"null", echo(200, "null"), false},
		{"empty client and user", echo(200, `{"client":{"client_id":""},"user":{"id":""}}`), false},
		{"a client_credentials app without its id", echo(200, `{"client":{"grant_types":["client_credentials"]},"user":{"id":""}}`), false},
	} {
		for _, text := range []string{secret, "53180085318008"} {
			id, err := resolve(t, accounts(t, tt.answer), "eu", auth.NewToken(text))
			failure, unavailable := errors.AsType[*auth.UnavailableError](err)
			if id != nil || errors.Is(err, auth.ErrBadToken) != tt.refused || unavailable == tt.refused {
				t.Errorf("%s: %+v, %v; want refused: %v", tt.name, id, err, tt.refused)
			}
			if unavailable && (failure.Plane != "eu" || failure.Unreached || !strings.Contains(err.Error(), "eu")) {
				t.Errorf("%s: %+v (%v), want an answer of eu that does not help", tt.name, failure, err)
			}
			if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), text) || strings.Contains(err.Error(), "invalid character '") {
				t.Errorf("%s: the error quotes the answer: %v", tt.name, err)
			}
		}
	}
}

// Without an answer of the plane, requests with other tokens would fail too. This is
// distinguished from an answer without a verdict.
func TestUnreachedPlaneIsReported(t *testing.T) {
	hangUp := func(result string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(conn, strings.ReplaceAll(result, "TOKEN", strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")))
			_ = conn.Close()
		}
	}
	stopped := accounts(t, hangUp(""))
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()
	stopped.Endpoint = func(string) auth.Endpoint {
		return auth.Endpoint{URL: &url.URL{Scheme: "http", Host: gone.Addr().String()}, Host: "eu1.anypoint.mulesoft.com"}
	}
	noTLS := accounts(t, hangUp(""))
	plain := noTLS.Endpoint("eu")
	noTLS.Endpoint = func(string) auth.Endpoint {
		return auth.Endpoint{URL: &url.URL{Scheme: "https", Host: plain.URL.Host}, Host: plain.Host}
	}
	for name, a := range map[string]*auth.Anypoint{
		"nobody listens": stopped, "no TLS": noTLS, "connection closed": accounts(t, hangUp("")), "connection cut": accounts(t, hangUp("HTTP/1.1 200 OK\r\nConte")),
		"no HTTP": accounts(t, hangUp("TOKEN\r\n\r\n")), "odd HTTP": accounts(t, hangUp("HTTP/TOKEN 200 OK\r\n\r\n")), "odd status": accounts(t, hangUp("HTTP/1.1 TOKEN OK\r\n\r\n")),
		"odd header": accounts(t, hangUp("HTTP/1.1 200 OK\r\nTOKEN\r\n\r\n")), "odd length": accounts(t, hangUp("HTTP/1.1 200 OK\r\nContent-Length: TOKEN\r\n\r\n")),
	} {
		for _, text := range []string{secret, secret + `"` + secret} {
			id, err := resolve(t, a, "eu", auth.NewToken(text))
			failure, ok := errors.AsType[*auth.UnavailableError](err)
			if id != nil || !ok || !failure.Unreached || errors.Is(err, auth.ErrBadToken) {
				t.Errorf("%s: %+v, %v, want a plane that was not reached", name, id, err)
			}
			if strings.Contains(fmt.Sprint(err), secret) {
				t.Errorf("%s: the error holds the token: %v", name, err)
			}
		}
	}
}

func TestCauseOfFailureIsKept(t *testing.T) {
	lookups := make(chan struct{})
	a := accounts(t, func(_ http.ResponseWriter, r *http.Request) {
		close(lookups)
		<-r.Context().Done()
	})
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		<-lookups
		leave()
	}()
	if _, err := a.Lookup(ctx, "eu", auth.NewToken(secret)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	a.Transport = transport(func(*http.Request) (*http.Response, error) {
		return nil, &tls.CertificateVerificationError{Err: errors.New("expired")}
	})
	_, err := a.Lookup(t.Context(), "eu", auth.NewToken(secret))
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok || !strings.Contains(err.Error(), "eu1.anypoint.mulesoft.com") {
		t.Errorf("the error is %v, want one that names the failure and the host", err)
	}
	a.Endpoint = func(string) auth.Endpoint {
		return auth.Endpoint{URL: &url.URL{Scheme: "http", Host: "a host"}, Host: "h"}
	}
	if _, err := a.Lookup(t.Context(), "eu", auth.NewToken(secret)); err == nil || errors.Is(err, auth.ErrBadToken) {
		t.Errorf("a URL that is none: %v", err)
	}
}

func TestNoRedirectIsFollowed(t *testing.T) {
	var elsewhere sync.Map
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		elsewhere.Store(r.URL.Path, r.Header.Get("Authorization"))
		says(`{"client":{"client_id":"evil"}}`)(w, r)
	}))
	defer other.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, target := range []string{other.URL + "/stolen", "/here"} {
			a := accounts(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/accounts/api/me" {
					elsewhere.Store(r.URL.Path, r.Header.Get("Authorization"))
				}
				w.Header().Set("Location", target)
				w.WriteHeader(status)
				_, _ = io.WriteString(w, `{"client":{"client_id":"evil"}}`)
			})
			if id, err := resolve(t, a, "eu", auth.NewToken(secret)); id != nil || err == nil {
				t.Errorf("%d to %s: %+v, %v", status, target, id, err)
			}
		}
	}
	elsewhere.Range(func(path, authorization any) bool {
		t.Errorf("%v received %q", path, authorization)
		return true
	})
}

func TestAnswerWithoutEndIsNotRead(t *testing.T) {
	var written int64
	done := make(chan struct{})
	a := accounts(t, func(w http.ResponseWriter, _ *http.Request) {
		defer close(done)
		_, err := io.WriteString(w, `{"client":{"client_id":"app","org_id":"`)
		for chunk := []byte(strings.Repeat("x", 1<<20)); err == nil && written < 64<<20; written += int64(len(chunk)) {
			_, err = w.Write(chunk)
		}
	})
	id, err := resolve(t, a, "eu", auth.NewToken("t"))
	if _, ok := errors.AsType[*auth.UnavailableError](err); id != nil || !ok {
		t.Errorf("%+v, %v", id, err)
	}
	<-done
	if written >= 64<<20 {
		t.Errorf("%d bytes were taken", written)
	}
}

func TestLargeOrganizationIsRead(t *testing.T) {
	var subs strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&subs, `,"%08d-0000-4000-8000-000000000000"`, i)
	}
	body := `{"client":{"client_id":"app"},"user":{"id":"u","organization":{"id":"root","isRoot":true,"subOrganizationIds":[` + subs.String()[1:] + `]}}}`
	id, err := resolve(t, accounts(t, says(body)), "eu", auth.NewToken("t"))
	if err != nil || len(id.Organizations) != 5001 || len(id.Trees) != 1 || len(id.Trees[0].Subs) != 5000 {
		t.Errorf("error %v", err)
	}
}

// A connection for each lookup would cost a TLS handshake for each bad token.
func TestConnectionIsUsedAgain(t *testing.T) {
	for status, body := range map[int]string{
		http.StatusOK: `{"client":{"client_id":"app"}}`, http.StatusUnauthorized: `{"message":"Unauthorized"}`, http.StatusServiceUnavailable: "<html>",
	} {
		var mu sync.Mutex
		from := map[string]bool{}
		a := accounts(t, func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			from[r.RemoteAddr] = true
			mu.Unlock()
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
			_ = http.NewResponseController(w).Flush() // chunked, so that the end of the body arrives later
			_, _ = io.WriteString(w, strings.Repeat("\n", 4096))
		})
		for range 5 {
			_, _ = a.Lookup(t.Context(), "eu", auth.NewToken("t"))
		}
		mu.Lock()
		if len(from) != 1 {
			t.Errorf("5 answers %d came over %d connections", status, len(from))
		}
		mu.Unlock()
	}
}

func TestRetryAfterOfTheControlPlaneIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().Unix()
		at := func(s int64) string { return fmt.Sprint(now + s) }
		for _, tt := range []struct {
			name              string
			status            int
			retryAfter, reset string
			want              time.Duration
		}{
			{"neither", 429, "", "", 0},
			{"Retry-After", 429, "7", "", 7 * time.Second},
			{"Retry-After of an outage", 503, "7", "", 7 * time.Second},
			{"Retry-After before X-RateLimit-Reset", 429, "7", at(30), 7 * time.Second},
			{"X-RateLimit-Reset", 429, "", at(30), 30 * time.Second},
			{"X-RateLimit-Reset beside an odd Retry-After", 429, "soon", at(30), 30 * time.Second},
			{"X-RateLimit-Reset of an outage says nothing of its end", 503, "", at(30), 0},
			{"X-RateLimit-Reset in the past", 429, "", at(-30), 0},
			{"X-RateLimit-Reset that is none", 429, "", "soon", 0},
			{"zero", 429, "0", "", 0},
			{"X-RateLimit-Reset beside a Retry-After of zero", 429, "0", at(30), 30 * time.Second},
			{"negative", 429, "-7", "", 0},
			{"absurd Retry-After", 503, "9223372036854775807", "", time.Hour},
			{"absurd X-RateLimit-Reset", 429, "", at(1 << 40), time.Hour},
			{"X-RateLimit-Reset in milliseconds", 429, "", at(0) + "000", time.Hour},
		} {
			header := http.Header{}
			for name, value := range map[string]string{"Retry-After": tt.retryAfter, "X-RateLimit-Reset": tt.reset} {
				if value != "" {
					header.Set(name, value)
				}
			}
			a := auth.Anypoint{Endpoint: endpoint, Transport: transport(func(*http.Request) (*http.Response, error) { return response(tt.status, header, ""), nil })}
			_, err := a.Lookup(t.Context(), "us", auth.NewToken("t"))
			failure, ok := errors.AsType[*auth.UnavailableError](err)
			if !ok || failure.RetryAfter != tt.want {
				t.Errorf("%s: %+v, want to come back after %v", tt.name, failure, tt.want)
			}
		}
	})
}
