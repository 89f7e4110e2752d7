package telemetry

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"time"
)

// reach is how an exporter reaches a collector by HTTP.
type reach struct {
	tls     *tls.Config   // nil: the system's certificates, and none of ours
	timeout time.Duration // of a request
}

// client returns a client for one exporter, in the place of the exporter's own, which would follow a redirect with all headers, keys among them, to any
// host, and take any page for a collector's answer. Proxies are those of the process's environment (HTTPS_PROXY and so on).
func (c reach) client() *http.Client {
	return &http.Client{
		Timeout:       c.timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &otlpTransport{http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: exportTimeout}).DialContext,
			TLSClientConfig:     c.tls,
			TLSHandshakeTimeout: exportTimeout,
			ForceAttemptHTTP2:   true,
			MaxIdleConns:        2, // an exporter sends one thing at a time
			IdleConnTimeout:     90 * time.Second,
		}},
	}
}

// otlpTransport takes for success only what is a collector's, and notes the status of what it is answered.
type otlpTransport struct{ http.Transport }

// errForeign is success that no collector has told.
var errForeign = errors.New("an answer that is not OTLP's")

// RoundTrip implements [http.RoundTripper]. An answer of success has the media type of OTLP (OTLP specification, "OTLP/HTTP Response"), or no body: there
// are receivers that write an empty message so.
func (t *otlpTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	heard, _ := r.Context().Value(heardKey{}).(*heard)
	heard.note(0)
	w, err := t.Transport.RoundTrip(r)
	if err != nil {
		return nil, err //nolint:wrapcheck // it is the transport's in all but name
	}
	heard.note(w.StatusCode)
	kind, _, _ := mime.ParseMediaType(w.Header.Get("Content-Type")) // what is malformed is foreign
	if w.StatusCode/100 != 2 || kind == "application/x-protobuf" || kind == "application/json" {
		return w, nil
	}
	_, err = bufio.NewReaderSize(w.Body, 1).Peek(1)
	_ = w.Body.Close() // of which nothing is wanted
	switch {
	case err == nil:
		return nil, fmt.Errorf("HTTP status %d with %w", w.StatusCode, errForeign)
	case !errors.Is(err, io.EOF):
		return nil, err //nolint:wrapcheck // as above
	}
	w.Body = http.NoBody
	return w, nil
}

// heard is what an export has heard of a collector by HTTP. A nil heard notes nothing. It is used by one goroutine at a time.
type heard struct{ status int } // of the last answer; 0 where the last request had none

func (h *heard) note(status int) {
	if h != nil {
		h.status = status
	}
}

// heardKey is under what an export's heard is in its context, which goes through the exporter.
type heardKey struct{}

// listen returns a context whose requests are noted.
func listen(ctx context.Context) (context.Context, *heard) {
	h := &heard{}
	return context.WithValue(ctx, heardKey{}, h), h
}
