package export

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

// collectorHTTP contains the settings for OTLP over HTTP.
type collectorHTTP struct {
	tls     *tls.Config   // nil: the system's root certificates and no client certificate
	timeout time.Duration // of a request
}

// client returns the HTTP client of one exporter. It replaces the exporter's own, which
// follows redirects to any host with all headers, including API keys, and accepts any
// page as an answer of a collector. The proxy is taken from the process's environment
// (HTTPS_PROXY and so on).
func (c collectorHTTP) client() *http.Client {
	return &http.Client{
		Timeout:       c.timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &otlpTransport{http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: exportTimeout}).DialContext,
			TLSClientConfig:     c.tls,
			TLSHandshakeTimeout: exportTimeout,
			ForceAttemptHTTP2:   true,
			MaxIdleConns:        2, // an exporter sends one request at a time
			IdleConnTimeout:     90 * time.Second,
		}},
	}
}

// otlpTransport accepts only successful answers of an OTLP collector, and records the
// status of each answer.
type otlpTransport struct{ http.Transport }

// errNotOTLP reports a successful answer that no OTLP collector sends.
var errNotOTLP = errors.New("an answer that is not OTLP")

// RoundTrip implements [http.RoundTripper]. A successful answer must have the media
// type of OTLP (OTLP specification, "OTLP/HTTP Response") or no body: some receivers
// send an empty body for an empty message.
func (t *otlpTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	last, _ := r.Context().Value(lastStatusKey{}).(*lastStatus)
	last.set(0)
	w, err := t.Transport.RoundTrip(r)
	if err != nil {
		return nil, err //nolint:wrapcheck // this is the transport
	}
	last.set(w.StatusCode)
	kind, _, _ := mime.ParseMediaType(w.Header.Get("Content-Type")) // a malformed type is not OTLP
	if w.StatusCode/100 != 2 || kind == "application/x-protobuf" || kind == "application/json" {
		return w, nil
	}
	_, err = bufio.NewReaderSize(w.Body, 1).Peek(1)
	_ = w.Body.Close() // the body is not used
	switch {
	case err == nil:
		return nil, fmt.Errorf("HTTP status %d with %w", w.StatusCode, errNotOTLP)
	case !errors.Is(err, io.EOF):
		return nil, err //nolint:wrapcheck // as above
	}
	w.Body = http.NoBody
	return w, nil
}

// lastStatus is the HTTP status of an export's last answer. Its methods accept a nil
// receiver. It is used by one goroutine at a time.
type lastStatus struct{ status int } // 0: the last request had no answer

func (l *lastStatus) set(status int) {
	if l != nil {
		l.status = status
	}
}

// lastStatusKey is the context key for the lastStatus of an export. The exporter passes
// the context on to its requests.
type lastStatusKey struct{}

// withLastStatus returns a context that records the status of its requests' answers.
func withLastStatus(ctx context.Context) (context.Context, *lastStatus) {
	l := &lastStatus{}
	return context.WithValue(ctx, lastStatusKey{}, l), l
}
