package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
)

// TestAnAmbiguousRequestIsRefusedAndItsConnectionCloses also checks a gateway that has
// no room and one that drains: the connection must end in any case.
func TestAnAmbiguousRequestIsRefusedAndItsConnectionCloses(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(o *Options) { o.Ambiguous = func(*http.Request) bool { return true } })
	g.Drain()
	w := httptest.NewRecorder()
	g.ServeHTTP(w, httptest.NewRequest(http.MethodGet, keyPath, http.NoBody))
	if w.Code != http.StatusBadRequest || w.Header().Get("Connection") != "close" || !strings.Contains(w.Body.String(), "urn:osgate:bad-request") {
		t.Errorf("%d %v %s, want a 400 bad-request that closes", w.Code, w.Header(), w.Body)
	}
	if len(g.sent) > 0 {
		t.Errorf("upstream got %v", g.sent)
	}
}

// TestIdentifiedIsCalledForAKnownToken checks that Identified is called for a client with a
// known token, and for no other.
func TestIdentifiedIsCalledForAKnownToken(t *testing.T) {
	t.Parallel()
	identified := 0
	g := newRig(t, func(o *Options) { o.Identified = func(*http.Request) { identified++ } })
	for token, want := range map[string]int{"one": 1, "nobody": 0} {
		identified = 0
		r := httptest.NewRequest(http.MethodGet, keyPath, http.NoBody)
		r.Header.Set("Authorization", "Bearer "+token)
		g.ServeHTTP(httptest.NewRecorder(), r)
		if identified != want {
			t.Errorf("token %q: identified %d times, want %d", token, identified, want)
		}
	}
}

// TestTheLengthOfAnHTTP2RequestMustHold checks the length as far as the header section
// shows it.
func TestTheLengthOfAnHTTP2RequestMustHold(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		values []string
		length int64 // as net/http sets it: -1 if none is declared and a body follows
		want   bool
	}{
		{nil, 0, true},
		{nil, -1, true},
		{[]string{"0"}, 0, true},
		{[]string{"5"}, 5, true},
		{[]string{"5"}, 0, false}, // the header section ends the request
		{[]string{"5", "5"}, 5, false},
		{[]string{"5, 5"}, 0, false},
		{[]string{"+5"}, 0, false},
		{[]string{""}, 0, false},
		{[]string{"99999999999999999999"}, 0, false},
	} {
		r := &http.Request{Header: http.Header{}, ContentLength: tt.length}
		if tt.values != nil {
			r.Header["Content-Length"] = tt.values
		}
		if got := lengthHolds(r); got != tt.want {
			t.Errorf("Content-Length %q, length %d: %t, want %t", tt.values, tt.length, got, tt.want)
		}
	}
}

// TestTheLastBytesOfADeclaredBodyWaitForItsEnd also checks that these bytes are not
// delivered if the body does not end there.
func TestTheLastBytesOfADeclaredBodyWaitForItsEnd(t *testing.T) {
	t.Parallel()
	tooLong := errors.New("more than declared")
	for name, tt := range map[string]struct {
		body io.Reader
		want string
		err  error
	}{
		"whole":         {strings.NewReader("hello"), "hello", nil},
		"byte by byte":  {iotest.OneByteReader(strings.NewReader("hello")), "hello", nil},
		"end with data": {iotest.DataErrReader(strings.NewReader("hello")), "hello", nil},
		"too long":      {io.MultiReader(strings.NewReader("hello"), iotest.ErrReader(tooLong)), "", tooLong},
		"cut":           {io.MultiReader(strings.NewReader("hel"), iotest.ErrReader(context.Canceled)), "hel", context.Canceled},
	} {
		r := withDeclaredLength(&http.Request{ProtoMajor: 2, ContentLength: 5, Body: io.NopCloser(tt.body)})
		got, err := io.ReadAll(r.Body)
		if string(got) != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s: %q, %v; want %q, %v", name, got, err, tt.want, tt.err)
		}
	}
}
