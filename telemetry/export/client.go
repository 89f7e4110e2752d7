package export

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	sdklog "go.opentelemetry.io/otel/sdk/log"
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

// losses counts failed exports and lost items. An unavailable collector only increases
// these counters and causes one log line a minute. It is safe for concurrent use.
type losses struct {
	logger   *slog.Logger
	failures [signals]atomic.Int64
	dropped  [signals]atomic.Int64
	logged   atomic.Int64 // time of the last log line, in Unix seconds
}

// logInterval is the shortest time between two log lines about failures, in seconds.
const logInterval = 60

// export calls send, which exports the given number of held items, and counts a
// failure. It returns no error, because the SDK would print it.
func (l *losses) export(ctx context.Context, s signal, held int, send func(context.Context) error) {
	sending, last := withLastStatus(ctx)
	if err := send(sending); err != nil {
		l.count(s, readFailure(err, last.status, ctx.Err()), held)
	}
}

// failed counts an export that failed, and the items lost with it.
func (l *losses) failed(s signal, err error, held int) { l.count(s, readFailure(err, 0, nil), held) }

// count counts a failure, and the items lost with it. An answer that accepts all items
// and only contains a message is not a failure.
func (l *losses) count(s signal, f failure, held int) {
	if f.cause == "" {
		return
	}
	if f.partly {
		held = min(held, f.rejected)
	}
	l.failures[s].Add(1)
	l.dropped[s].Add(int64(held))
	now, last := time.Now().Unix(), l.logged.Load()
	if now-last >= logInterval && l.logged.CompareAndSwap(last, now) {
		l.logger.Warn("telemetry could not be exported; more such failures within a minute are only counted",
			"signal", s.String(), "cause", f.cause)
	}
}

// Losses reports for each signal the exports that failed since the start, and the items
// that were never exported, as metrics show them.
func (x *Exports) Losses(report func(signal string, failed, dropped int64)) {
	for s := range signals {
		report(s.String(), x.losses.failures[s].Load(), x.losses.dropped[s].Load())
	}
}

// countedLogs is an exporter that counts failures instead of returning them. It also
// bounds the queue, because the SDK does not report records that it drops from a full
// queue.
type countedLogs struct {
	sdklog.Exporter
	losses  *losses
	room    int64
	waiting atomic.Int64 // lower bound of the records in the queue
}

// Export implements [sdklog.Exporter].
func (e *countedLogs) Export(ctx context.Context, records []sdklog.Record) error {
	e.waiting.Add(-int64(len(records)))
	e.losses.export(ctx, signalLogs, len(records), func(ctx context.Context) error {
		return e.Exporter.Export(ctx, records)
	})
	return nil
}

// countedQueue is a processor that queues records for a countedLogs.
type countedQueue struct {
	sdklog.Processor
	logs *countedLogs
}

// OnEmit implements [sdklog.Processor].
func (q *countedQueue) OnEmit(ctx context.Context, r *sdklog.Record) error {
	if q.logs.waiting.Add(1) > q.logs.room {
		q.logs.waiting.Add(-1)
		q.logs.losses.dropped[signalLogs].Add(1)
		return nil
	}
	return q.Processor.OnEmit(ctx, r) //nolint:wrapcheck // this is the processor
}
