package proxy

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
)

// cutOffBody returns a body that begins with text and then fails.
func cutOffBody(text string, err error) io.ReadCloser {
	return io.NopCloser(io.MultiReader(strings.NewReader(text), iotest.ErrReader(err)))
}

func TestOnlyAShortWholeBodyIsBuffered(t *testing.T) {
	cut := errors.New("connection reset")
	full := strings.Repeat("x", keptBody)
	for name, tt := range map[string]struct {
		body  io.ReadCloser
		text  string
		err   error
		short bool
	}{
		"empty":             {io.NopCloser(strings.NewReader("")), "", nil, true},
		"as long as may be": {io.NopCloser(strings.NewReader(full)), full, nil, true},
		"longer":            {io.NopCloser(strings.NewReader(full + "yz")), full + "yz", nil, false},
		"cut off":           {cutOffBody("a", cut), "a", cut, false},
	} {
		answer := &http.Response{Body: tt.body}
		text, short := bufferAnswer(answer)
		if short != tt.short || short && string(text) != tt.text || !short && text != nil {
			t.Errorf("%s: %d bytes, short %t; want it short: %t", name, len(text), short, tt.short)
		}
		if again, err := io.ReadAll(answer.Body); string(again) != tt.text || !errors.Is(err, tt.err) {
			t.Errorf("%s: forwarded as %d bytes, %v; want %d, %v", name, len(again), err, len(tt.text), tt.err)
		}
	}
}

func TestTheRestOfAnAnswerIsReadUpToItsBound(t *testing.T) {
	for name, tt := range map[string]struct {
		body  io.ReadCloser
		whole bool
	}{
		"short":   {io.NopCloser(strings.NewReader("the end")), true},
		"cut off": {cutOffBody("a", errors.New("connection reset")), false},
		"long":    {io.NopCloser(strings.NewReader(strings.Repeat("x", 2*maxKeep))), false},
	} {
		b := &replyBody{ReadCloser: tt.body, exchange: &exchange{}}
		if got := b.readRest(); got != tt.whole {
			t.Errorf("%s: whole is %t, want %t", name, got, tt.whole)
		}
	}
}

// A transport that decompressed would change the length and the ETag of a value.
func TestTheTransportRequestsNoCompression(t *testing.T) {
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header["Accept-Encoding"] }))
	defer server.Close()
	transport := NewTransport(TransportOptions{})
	for name, way := range map[string]http.RoundTripper{"shared": transport.Shared, "fresh": transport.Fresh} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := way.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if len(got) > 0 {
			t.Errorf("%s: Accept-Encoding %q, want none", name, got)
		}
	}
}
