package auth_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"osgate/auth"
)

// readBody is a body that records how much of it was read, and whether it was closed.
type readBody struct {
	io.Reader
	closed bool
}

func (b *readBody) Close() error {
	b.closed = true
	return nil
}

// left returns the number of unread bytes of b, and whether b was closed.
func (b *readBody) left() (int, bool) {
	rest, _ := io.ReadAll(b.Reader)
	return len(rest), b.closed
}

// listing is an Access Management with the given number of environments, of which it
// lists at most 500 a page. It reports another total if that is set.
type listing struct {
	environments, claims int
	lookups              []string // the queries
	bodies               []*readBody
}

func (l *listing) RoundTrip(r *http.Request) (*http.Response, error) {
	l.lookups = append(l.lookups, r.URL.RawQuery)
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	offset, _ := strconv.Atoi(r.URL.Query().Get("offset"))
	page := map[string]any{"data": []any{}, "total": max(l.environments, l.claims)}
	var data []any
	for n := offset; n < min(offset+limit, l.environments); n++ {
		data = append(data, map[string]any{"id": fmt.Sprint("env-", n), "type": "sandbox"})
	}
	page["data"] = data
	text, _ := json.Marshal(page)
	b := &readBody{Reader: strings.NewReader(string(text) + strings.Repeat("\n", 4096))}
	l.bodies = append(l.bodies, b)
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"X-Page": {strconv.Itoa(offset)}}, Body: b}, nil
}

// TestEnvironmentsAreListedPageByPage up to the total, to a page that is empty, or to
// the largest number of pages.
func TestEnvironmentsAreListedPageByPage(t *testing.T) {
	for _, tt := range []struct{ environments, claims, want, pages int }{
		{0, 0, 0, 1}, {499, 0, 499, 1}, {500, 0, 500, 1}, {501, 0, 501, 2}, {1000, 0, 1000, 2}, {1200, 0, 1200, 3},
		{700, 5000, 700, 3}, {20_000, 0, 10_000, 20},
	} {
		l := &listing{environments: tt.environments, claims: tt.claims}
		var spent []string
		a := auth.Anypoint{
			Endpoint: endpoint, Transport: l,
			OnAnswer: func(plane string, token auth.Token, answer http.Header) {
				spent = append(spent, plane+" "+token.Header()+" "+answer.Get("X-Page"))
			},
		}
		types, err := a.ListEnvironments(t.Context(), "us", "org", auth.NewToken("t"))
		if err != nil || len(types) != tt.want || len(l.lookups) != tt.pages {
			t.Errorf("%+v: %d environments by %d pages, %v", tt, len(types), len(l.lookups), err)
		}
		for n, lookups := range l.lookups {
			offset := strconv.Itoa(n * 500)
			if want := "limit=500&offset=" + offset; lookups != want || spent[n] != "us Bearer t "+offset {
				t.Errorf("page %d: the requests are %q and the reports %q, want %q", n, lookups, spent[n], want)
			}
			if rest, closed := l.bodies[n].left(); rest != 0 || !closed {
				t.Errorf("page %d: %d bytes are not read, closed: %t", n, rest, closed)
			}
		}
	}
}

// TestRefusedListingsAreReadAndClosed so that the connection can be reused.
func TestRefusedListingsAreReadAndClosed(t *testing.T) {
	for _, status := range []int{http.StatusUnauthorized, http.StatusServiceUnavailable} {
		b := &readBody{Reader: strings.NewReader(strings.Repeat("x", 4096))}
		a := auth.Anypoint{Endpoint: endpoint, Transport: transport(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Header: http.Header{}, Body: b}, nil
		})}
		if _, err := a.ListEnvironments(t.Context(), "us", "org", auth.NewToken("t")); err == nil {
			t.Errorf("%d is taken", status)
		}
		if rest, closed := b.left(); rest != 0 || !closed {
			t.Errorf("%d: %d bytes are not read, closed: %t", status, rest, closed)
		}
	}
}

// TestAnswersOfIntrospectionAreReadAndClosed so that the connection can be reused.
func TestAnswersOfIntrospectionAreReadAndClosed(t *testing.T) {
	for _, status := range []int{http.StatusOK, http.StatusUnauthorized, http.StatusForbidden, http.StatusServiceUnavailable} {
		b := &readBody{Reader: strings.NewReader(`{"active":true,"client_id":"app"}` + strings.Repeat("\n", 4096))}
		i := auth.Introspection{Endpoint: endpoint, Transport: transport(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Header: http.Header{}, Body: b}, nil
		})}
		_, err := i.Lookup(t.Context(), "us", auth.NewToken("t"))
		if rest, closed := b.left(); rest != 0 || !closed {
			t.Errorf("%d: %d bytes are not read, closed: %t", status, rest, closed)
		}
		own := status == http.StatusUnauthorized || status == http.StatusForbidden
		failure, ok := errors.AsType[*auth.UnavailableError](err)
		if ok != (status != http.StatusOK) || ok && strings.Contains(failure.Error(), "the gateway's own credentials") != own {
			t.Errorf("%d: %v", status, err)
		}
	}
}
