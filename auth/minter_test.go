package auth_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"osgate/auth"
	"osgate/emulator"
)

// roundTrip is a transport in one function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func minterOf(f roundTrip) *auth.Minter {
	return &auth.Minter{Transport: f, ClientID: "app&one", Endpoint: func(string) auth.Endpoint {
		return auth.Endpoint{URL: &url.URL{Scheme: "http", Host: "override"}, Host: "anypoint.mulesoft.com"}
	}}
}

// answering is a token endpoint with one answer.
func answering(status int, body string, header ...string) roundTrip {
	return func(*http.Request) (*http.Response, error) {
		h := http.Header{}
		for i := 0; i < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

// TestMintAtTheEmulator: the token is of the plane, and lives for an hour.
func TestMintAtTheEmulator(t *testing.T) {
	w := newWorld(t, emulator.Options{})
	m := auth.Minter{Transport: w.transport, Endpoint: w.endpoint, ClientID: "app-one"}
	got, err := m.Mint(t.Context(), "eu", "secret-one")
	if err != nil || got.Life != time.Hour {
		t.Fatalf("%+v, %v", got, err)
	}
	if p, err := resolve(t, w.me(), "eu", got.Token); err != nil || p.Client != "app-one" {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := m.Mint(t.Context(), "eu", "wrong"); !errors.Is(err, auth.ErrBadClient) || !strings.Contains(err.Error(), "eu1.anypoint.mulesoft.com answered 401 (invalid_client)") {
		t.Errorf("a wrong secret: %v", err)
	}
}

// TestMintSendsOneForm with the plane's own Host, and no secret in its URL or header.
func TestMintSendsOneForm(t *testing.T) {
	var sent []string
	m := minterOf(func(r *http.Request) (*http.Response, error) {
		body, _ := io.ReadAll(r.Body)
		sent = append(sent, fmt.Sprint(r.Method, " ", r.URL, " ", r.Host, " ", r.Header, " ", string(body)))
		return answering(http.StatusTemporaryRedirect, "", "Location", "http://elsewhere/")(r)
	})
	if _, err := m.Mint(t.Context(), "us", "s&cret"); err == nil {
		t.Error("a redirect is a token")
	}
	want := "POST http://override/accounts/api/v2/oauth2/token anypoint.mulesoft.com " +
		"map[Accept:[application/json] Content-Type:[application/x-www-form-urlencoded] User-Agent:[osgate]] " +
		"client_id=app%26one&client_secret=s%26cret&grant_type=client_credentials"
	if len(sent) != 1 || sent[0] != want {
		t.Errorf("sent %q, want %q", sent, want)
	}
}

// TestMintReadsAnswersStrictly and knows a refusal of the client from an endpoint that
// does not answer.
func TestMintReadsAnswersStrictly(t *testing.T) {
	const token = `"access_token":"t"`
	for _, tt := range []struct {
		status int
		body   string
		life   time.Duration
		want   string // of the error: refused, unavailable; empty: a token
	}{
		{200, `{` + token + `,"expires_in":3600,"token_type":"bearer"}`, time.Hour, ""},
		{200, `{` + token + `,"expires_in":"60","token_type":"Bearer"}`, time.Minute, ""},
		{200, `{` + token + `}`, 0, ""},
		{200, `{` + token + `,"expires_in":null}`, 0, ""},
		{200, `{` + token + `,"expires_in":1e9}`, 24 * time.Hour, ""},
		{200, `{` + token + `,"expires_in":0}`, 0, "unavailable"},
		{200, `{` + token + `,"expires_in":-1}`, 0, "unavailable"},
		{200, `{` + token + `,"expires_in":1e999}`, 0, "unavailable"},
		{200, `{` + token + `,"expires_in":"soon"}`, 0, "unavailable"},
		{200, `{` + token + `,"expires_in":{}}`, 0, "unavailable"},
		{200, `{` + token + `,` + token + `}`, 0, "unavailable"},
		{200, `{` + token + `,"token_type":"mac"}`, 0, "unavailable"},
		{200, `{"access_token":""}`, 0, "unavailable"},
		{200, `{"access_token":"a\nb"}`, 0, "unavailable"},
		{200, `{"access_token":"` + strings.Repeat("t", 5000) + `"}`, 0, "unavailable"},
		{200, `<html>`, 0, "unavailable"},
		{200, ``, 0, "unavailable"},
		{201, `{` + token + `}`, 0, "unavailable"},
		{302, ``, 0, "unavailable"},
		{400, `{"error":"invalid_client"}`, 0, "refused"},
		{400, `{"error":"unauthorized_client"}`, 0, "refused"},
		{400, `{"error":"temporarily_unavailable"}`, 0, "unavailable"},
		{400, `<html>`, 0, "unavailable"},
		{401, ``, 0, "refused"},
		{403, `<html>`, 0, "refused"},
		{404, ``, 0, "unavailable"},
		{429, ``, 0, "unavailable"},
		{500, ``, 0, "unavailable"},
		{503, `{"error":"invalid_client"}`, 0, "unavailable"},
	} {
		got, err := minterOf(answering(tt.status, tt.body, "Retry-After", "7")).Mint(t.Context(), "us", "secret")
		kind := ""
		if failure, ok := errors.AsType[*auth.UnavailableError](err); ok {
			kind = "unavailable"
			if failure.Plane != "us" || failure.Unreached || failure.RetryAfter != 7*time.Second {
				t.Errorf("%d %s: %+v", tt.status, tt.body, failure)
			}
		} else if errors.Is(err, auth.ErrBadClient) {
			kind = "refused"
		}
		if kind != tt.want || got.Life != tt.life || (err == nil) != got.Token.Equal(auth.NewToken("t")) {
			t.Errorf("%d %s: %+v, %v", tt.status, tt.body, got, err)
		}
	}
}

// TestNoErrorOfAMintQuotesASecret, also where the answer or the transport repeats it.
func TestNoErrorOfAMintQuotesASecret(t *testing.T) {
	const secret = "zq &xj"
	for name, f := range map[string]roundTrip{
		"error":     answering(400, `{"error":"`+secret+`"}`),
		"text":      answering(401, secret),
		"json":      answering(200, `{"access_token":"zq &xj"}`),
		"malformed": answering(200, `{"access_token":"`+secret),
		"transport": func(*http.Request) (*http.Response, error) { return nil, errors.New("malformed answer " + secret) },
		"escaped":   func(*http.Request) (*http.Response, error) { return nil, errors.New(url.QueryEscape(secret)) },
	} {
		_, err := minterOf(f).Mint(t.Context(), "us", secret)
		if err == nil || strings.Contains(err.Error(), "xj") {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m := minterOf(func(r *http.Request) (*http.Response, error) { return nil, r.Context().Err() })
	_, err := m.Mint(ctx, "us", secret)
	if failure, ok := errors.AsType[*auth.UnavailableError](err); !ok || !failure.Unreached || !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: %v", err)
	}
}

// TestTokensAreEqualByTheirText.
func TestTokensAreEqualByTheirText(t *testing.T) {
	a, b := auth.NewToken("a"), auth.NewToken("b")
	if !a.Equal(auth.NewToken("a")) || a.Equal(b) || a.Equal(auth.Token{}) || !(auth.Token{}).Equal(auth.Token{}) {
		t.Error("Equal is wrong")
	}
	if a.IsZero() || !(auth.Token{}).IsZero() || !auth.NewToken("").IsZero() {
		t.Error("IsZero is wrong")
	}
}
