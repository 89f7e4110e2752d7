package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"osgate/reconcile"
)

// transport is a round tripper made of a function.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func reply(status int, body string, header ...string) *http.Response {
	answer := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
	for i := 0; i < len(header); i += 2 {
		answer.Header.Set(header[i], header[i+1])
	}
	return answer
}

func api(f transport) *reconcile.API {
	base, _ := url.Parse("http://gateway:8080/us")
	return &reconcile.API{
		Transport: f, Base: base, Host: "object-store-stats.example", Query: url.Values{"source": {"upstream"}},
		Authorize: func(r *http.Request) { r.Header.Set("Authorization", "Bearer secret-token") },
	}
}

func TestTheRequestHasTheFormOfTheAPI(t *testing.T) {
	t.Parallel()
	var got *http.Request
	a := api(func(r *http.Request) (*http.Response, error) {
		got = r
		return reply(200, "[]"), nil
	})
	const target = "/api/v1/organizations/o/environments/a%2Fb%20..?period=1day&source=upstream&startDate=2024-08-15T12%3A00%3A00%2B02%3A00"
	for base, want := range map[string]string{"http://gateway:8080/us": "/us" + target, "https://stats.example": target, "https://stats.example/": target} {
		a.Base, _ = url.Parse(base)
		body, err := a.Get(t.Context(), "organizations/o/environments/a%2Fb%20..", url.Values{"period": {"1day"}, "startDate": {"2024-08-15T12:00:00+02:00"}})
		if err != nil || string(body) != "[]" {
			t.Fatalf("%s, %v", body, err)
		}
		if got.URL.RequestURI() != want || got.Host != "object-store-stats.example" || got.Header.Get("Authorization") != "Bearer secret-token" || got.Method != http.MethodGet {
			t.Errorf("%s %s at %s, want %s", got.Method, got.URL.RequestURI(), got.Host, want)
		}
	}
}

// TestLaterIsHonored rejects the first attempts with a status that means "later". The
// next attempt comes after the time in Retry-After, or after a default delay without
// it, and in any case within a minute.
func TestLaterIsHonored(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answers []*http.Response
		waited  time.Duration
	}{
		"Retry-After":              {[]*http.Response{reply(429, "", "Retry-After", "7"), reply(503, "", "Retry-After", "3")}, 10 * time.Second},
		"no Retry-After":           {[]*http.Response{reply(429, ""), reply(502, ""), reply(504, "")}, 7 * time.Second},
		"an endless one":           {[]*http.Response{reply(429, "", "Retry-After", "86400")}, time.Minute},
		"one that nobody can read": {[]*http.Response{reply(429, "", "Retry-After", "soon")}, time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			a := api(func(*http.Request) (*http.Response, error) {
				asked++
				if asked > len(tt.answers) {
					return reply(200, "[]"), nil
				}
				return tt.answers[asked-1], nil
			})
			start := time.Now()
			if _, err := a.Get(t.Context(), "organizations/o", url.Values{}); err != nil || time.Since(start) != tt.waited {
				t.Errorf("%s: %v after %v, want %v", name, err, time.Since(start), tt.waited)
			}
		})
	}
}

func TestARefusalIsReportedAtOnceWithItsReason(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		answer *http.Response
		says   string
	}{
		{reply(400, `{"message":"endDate is too late"}`), "it answered 400 Bad Request: endDate is too late"},
		{reply(403, `{"detail":"not yours","message":"no"}`), "it answered 403 Forbidden: not yours"},
		{reply(401, `<html>`), "it answered 401 Unauthorized"},
		{reply(404, `{"message":"a\u001b[31m\nb"}`), "it answered 404 Not Found: a [31m b"},
		{reply(500, `{"message":"`+strings.Repeat("é", 1000)+`"}`), "it answered 500 Internal Server Error: " + strings.Repeat("é", 150)},
		{reply(302, ``, "Location", "http://elsewhere"), "it answered 302 Found"},
	} {
		asked := 0
		a := api(func(*http.Request) (*http.Response, error) {
			asked++
			return tt.answer, nil
		})
		_, err := a.Get(t.Context(), "organizations/o", url.Values{})
		status, ok := errors.AsType[*reconcile.StatusError](err)
		if !ok || status.Status != tt.answer.StatusCode || err.Error() != tt.says || asked != 1 {
			t.Errorf("%v after %d requests, want %s after one", err, asked, tt.says)
		}
	}
}

func TestAnUnavailableSideIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		a := api(func(*http.Request) (*http.Response, error) {
			asked++
			return nil, errors.New("connection refused")
		})
		start := time.Now()
		if _, err := a.Get(t.Context(), "organizations/o", url.Values{}); err == nil || asked != 5 || time.Since(start) != 15*time.Second {
			t.Errorf("%v after %d requests and %v", err, asked, time.Since(start))
		}
	})
}

func TestWaitingEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := api(func(*http.Request) (*http.Response, error) { return reply(429, "", "Retry-After", "60"), nil })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := a.Get(ctx, "organizations/o", url.Values{}); err == nil || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// TestAnAnswerWithoutEndIsNotKept reads a body that never ends. Reading is bounded in
// bytes, and in time if no byte arrives.
func TestAnAnswerWithoutEndIsNotKept(t *testing.T) {
	t.Parallel()
	a := api(func(*http.Request) (*http.Response, error) {
		answer := reply(200, "")
		answer.Body = io.NopCloser(endless{})
		return answer, nil
	})
	if _, err := a.Get(t.Context(), "organizations/o", url.Values{}); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("%v", err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestNoTokenIsPrinted(t *testing.T) {
	t.Parallel()
	a := api(func(*http.Request) (*http.Response, error) { return nil, errors.New("away") })
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(format, a); strings.Contains(text, "secret-token") {
			t.Errorf("%s prints it: %s", format, text)
		}
	}
}
