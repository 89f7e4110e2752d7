// Package export sends traces, metrics and the log to OpenTelemetry collectors, as
// OpenTelemetry's own environment variables select them.
//
// The idea a reader needs: nothing here is in the way of a request. [Traces] is a
// record.Keeper that copies a sampled exchange into a bounded queue, and [Exports.Run]
// builds and sends its spans later. A collector that does not answer costs counters and
// one log line a minute.
//
// The package decides only which exchanges are traced. It starts no goroutine before
// Run; the SDK's processors of logs do.
package export

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/exporters/stdout/stdoutlog"
	"go.opentelemetry.io/otel/exporters/stdout/stdoutmetric"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"golang.org/x/sync/errgroup"

	"osgate/telemetry/attributes"
	"osgate/telemetry/metrics"
)

// Exports sends traces, metrics and logs to their exporters. It sets no global state of
// OpenTelemetry. [Open] makes it; [Exports.Run] then sends until the end. It is safe for
// concurrent use.
type Exports struct {
	instance   string // a random id of this process
	about      *resource.Resource
	losses     losses
	plan       Plan
	spans      []sdktrace.SpanExporter
	pushers    []*pusher
	processors []sdklog.Processor
	clients    []*http.Client // of the HTTP exporters
	traces     *Traces        // nil: no traces
}

// Options configures [Exports].
type Options struct {
	Version string       // of the program; empty: not exported
	Console io.Writer    // for exporters named "console"; several goroutines write to it
	Logger  *slog.Logger // logs failures, at most once a minute; must not export itself
}

// Open opens the exporters of e. The OTLP exporters read endpoints, headers and timeouts
// from the process's environment themselves, and connect when there are items to send.
// The SDK's processors of logs start goroutines now: call [Exports.Close] if Run is
// never called.
func Open(ctx context.Context, e Plan, o Options) (*Exports, error) {
	x := &Exports{instance: newInstance(), plan: e, losses: losses{logger: o.Logger}}
	shared := newConsole(o.Console)
	var err error
	if x.about, err = attributes.Process(ctx, o.Version, x.instance); err != nil {
		return nil, err
	}
	var problems []error
	for s, open := range [signals]func(context.Context, string, bool, io.Writer) error{
		x.openTraces, x.openMetrics, x.openLogs,
	} {
		for _, name := range e.exporters[s] {
			if err := open(ctx, name, e.grpc[s], signalConsole{shared, signal(s), &x.losses}); err != nil {
				problems = append(problems, fmt.Errorf("opening the exporter %q of %s: %w", name, signal(s), err))
			}
		}
	}
	if err := errors.Join(problems...); err != nil {
		x.Close(ctx)
		return nil, err
	}
	return x, nil
}

// newInstance returns a unique id: a random UUID (RFC 9562, section 5.4), as the
// semantic conventions recommend for service.instance.id.
func newInstance() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// openTraces opens an exporter of spans.
func (x *Exports) openTraces(ctx context.Context, name string, grpc bool, console io.Writer) (err error) {
	var e sdktrace.SpanExporter
	switch {
	case name == exporterConsole:
		e, err = stdouttrace.New(stdouttrace.WithWriter(console))
	case grpc:
		e, err = otlptracegrpc.New(ctx)
	default:
		e, err = otlptracehttp.New(ctx, otlptracehttp.WithHTTPClient(x.client(signalTraces)))
	}
	if err == nil {
		x.spans = append(x.spans, e)
	}
	return err
}

// openMetrics opens an exporter of metrics, to which they are pushed.
func (x *Exports) openMetrics(ctx context.Context, name string, grpc bool, console io.Writer) (err error) {
	var e sdkmetric.Exporter
	switch {
	case name == exporterConsole:
		e, err = stdoutmetric.New(stdoutmetric.WithWriter(console))
	case grpc:
		e, err = otlpmetricgrpc.New(ctx)
	default:
		e, err = otlpmetrichttp.New(ctx, otlpmetrichttp.WithHTTPClient(x.client(signalMetrics)))
	}
	if err != nil {
		return err
	}
	p, err := newPusher(e, x.plan, &x.losses)
	if err != nil {
		return err
	}
	x.pushers = append(x.pushers, p)
	return nil
}

// openLogs opens an exporter of log records.
func (x *Exports) openLogs(ctx context.Context, name string, grpc bool, console io.Writer) (err error) {
	var e sdklog.Exporter
	switch {
	case name == exporterConsole:
		e, err = stdoutlog.New(stdoutlog.WithWriter(console))
	case grpc:
		e, err = otlploggrpc.New(ctx)
	default:
		e, err = otlploghttp.New(ctx, otlploghttp.WithHTTPClient(x.client(signalLogs)))
	}
	if err != nil {
		return err
	}
	b := x.plan.records
	counted := &countedLogs{Exporter: e, losses: &x.losses, room: int64(b.queue)}
	processor := sdklog.NewBatchProcessor(counted,
		sdklog.WithExportInterval(b.delay), sdklog.WithExportTimeout(b.timeout),
		sdklog.WithMaxQueueSize(b.queue), sdklog.WithExportMaxBatchSize(min(b.size, b.queue)))
	x.processors = append(x.processors, &countedQueue{processor, counted})
	return nil
}

// client returns the client of an HTTP exporter.
func (x *Exports) client(s signal) *http.Client {
	c := x.plan.http[s].client()
	x.clients = append(x.clients, c)
	return c
}

// Instance returns the random id of this process (service.instance.id, unless
// OTEL_RESOURCE_ATTRIBUTES sets another), for the metrics.
func (x *Exports) Instance() string { return x.instance }

// Readers returns the readers that push metrics.
func (x *Exports) Readers() (readers []sdkmetric.Reader) {
	for _, p := range x.pushers {
		readers = append(readers, p.reader)
	}
	return readers
}

// flushWithin is how long the end of the process waits for collectors.
const flushWithin = 5 * time.Second

// Run sends traces until ctx ends, and then, within five seconds, the remaining traces,
// metrics and logs. Failures of a collector are counted and not returned.
func (x *Exports) Run(ctx context.Context) error {
	var all errgroup.Group
	if x.traces != nil {
		all.Go(func() error { x.traces.run(ctx); return nil })
	}
	for _, p := range x.pushers {
		all.Go(func() error { p.run(ctx); return nil })
	}
	all.Go(func() error { <-ctx.Done(); x.Close(ctx); return nil })
	err := all.Wait()
	x.closeIdleConnections()
	return err
}

// Close sends the remaining metrics and logs within five seconds, even if ctx has
// ended, and stops the background goroutines. It may be called more than once.
func (x *Exports) Close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushWithin)
	defer cancel()
	var all errgroup.Group
	for _, p := range x.pushers {
		all.Go(func() error { p.close(ctx); return nil })
	}
	for _, processor := range x.processors {
		all.Go(func() error { return processor.Shutdown(ctx) })
	}
	if x.traces == nil { // otherwise its run shuts them down
		for _, e := range x.spans {
			all.Go(func() error { return e.Shutdown(ctx) })
		}
	}
	_ = all.Wait() // failed exports are counted; closed exporters are not failures
	x.closeIdleConnections()
}

// closeIdleConnections closes idle connections, which the exporters leave open.
func (x *Exports) closeIdleConnections() {
	for _, c := range x.clients {
		c.CloseIdleConnections()
	}
}

// consoleWithin is how long an export waits for the console to be read. After one
// export has timed out, the next ones do not wait until the console is read again.
const consoleWithin = 2 * time.Second

// errUnread reports that the reader of the console does not read.
var errUnread = errors.New("the console is not read")

// console writes to a writer that may block, as a pipe without a reader does, and gives
// up then. A write that was started completes when the console is read again, so that
// lines stay whole. It is safe for concurrent use.
type console struct {
	w    io.Writer
	turn chan struct{} // holds an element during a write

	mu    sync.Mutex
	busy  bool // a write is running
	stuck bool // an export has timed out since the current write began
}

func newConsole(w io.Writer) *console { return &console{w: w, turn: make(chan struct{}, 1)} }

// write writes p as a whole, or returns an error.
func (c *console) write(p []byte) error {
	if c.isStuck() {
		return errUnread
	}
	late := time.NewTimer(consoleWithin)
	defer late.Stop()
	select {
	case c.turn <- struct{}{}:
	case <-late.C:
		c.giveUp()
		return errUnread
	}
	c.set(true)
	written, text := make(chan error, 1), bytes.Clone(p)
	go func() { // ends when the text is written, which may be never: one goroutine at most
		_, err := c.w.Write(text)
		written <- err
		c.set(false)
		<-c.turn
	}()
	select {
	case err := <-written:
		return err
	case <-late.C:
	}
	c.giveUp()
	select {
	case err := <-written: // at the last moment
		return err
	default:
		return errUnread
	}
}

// isStuck reports whether an export has timed out because of the current write.
func (c *console) isStuck() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stuck
}

// set records that a write begins or ends.
func (c *console) set(busy bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy, c.stuck = busy, false
}

// giveUp records that an export has timed out, unless the write has ended since.
func (c *console) giveUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stuck = c.busy
}

// signalConsole is the console of one exporter. It counts texts that are not written
// and returns no error, because the encoder of an exporter stops after its first error.
// It is safe for concurrent use.
type signalConsole struct {
	*console
	signal signal
	losses *losses
}

// Write implements [io.Writer]. The exporters write one span or log record at a time.
func (c signalConsole) Write(p []byte) (int, error) {
	if err := c.write(p); err != nil {
		held := 1
		if c.signal == signalMetrics {
			held = 0 // the next sums include it
		}
		c.losses.failed(c.signal, err, held)
	}
	return len(p), nil
}

// pusher sends metrics to one exporter. It replaces the SDK's reader, which cannot be
// stopped, prints errors, and has no timeout for its last export. It is safe for
// concurrent use.
type pusher struct {
	reader            *sdkmetric.ManualReader
	exporter          sdkmetric.Exporter
	interval, timeout time.Duration
	losses            *losses
	end               sync.Once
}

// newPusher returns a pusher of the metrics that its reader collects, and of the
// process's metrics.
func newPusher(e sdkmetric.Exporter, plan Plan, l *losses) (*pusher, error) {
	process, err := metrics.NewProcess(e.Temporality)
	if err != nil {
		return nil, err
	}
	reader := sdkmetric.NewManualReader(sdkmetric.WithTemporalitySelector(e.Temporality),
		sdkmetric.WithAggregationSelector(e.Aggregation), sdkmetric.WithProducer(process))
	return &pusher{reader: reader, exporter: e, interval: plan.interval, timeout: plan.timeout, losses: l}, nil
}

// run sends metrics at each interval until ctx ends.
func (p *pusher) run(ctx context.Context) {
	tick := time.NewTicker(p.interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.push(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// push sends metrics once. If this fails, the next sums include the values.
func (p *pusher) push(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	p.losses.export(ctx, signalMetrics, 0, func(ctx context.Context) error {
		var all metricdata.ResourceMetrics
		switch err := p.reader.Collect(ctx, &all); {
		// the metrics are not registered yet, or shut down
		case errors.Is(err, sdkmetric.ErrReaderNotRegistered), errors.Is(err, sdkmetric.ErrReaderShutdown):
			return nil
		case err != nil:
			return err //nolint:wrapcheck // it is counted
		}
		return p.exporter.Export(ctx, &all) //nolint:wrapcheck // as above
	})
}

// close sends metrics for the last time, and shuts down the exporter.
func (p *pusher) close(ctx context.Context) {
	p.end.Do(func() {
		p.push(ctx)
		_ = p.exporter.Shutdown(ctx) // all metrics were sent or counted as lost
	})
}
