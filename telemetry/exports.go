package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
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
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"golang.org/x/sync/errgroup"
)

// Exports are the open ways out for traces, metrics and logs. Nothing global is set. Make them by [OpenExports]; then [Exports.Run] sends until the
// end. Safe for concurrent use.
type Exports struct {
	instance   string // a random id of this process
	about      *resource.Resource
	losses     losses
	plan       Exporting
	spans      []sdktrace.SpanExporter
	pushers    []*pusher
	processors []sdklog.Processor
	clients    []*http.Client // of the exporters by HTTP
	traces     *Traces        // nil: none are made
}

// ExportsOptions set up [Exports].
type ExportsOptions struct {
	Version string       // of the program; empty: not told
	Console io.Writer    // for exporters named "console"; written to by several goroutines
	Logger  *slog.Logger // is told of failures, once a minute at most; must not itself export
}

// OpenExports opens what e says. The OTLP exporters read endpoints, headers and timeouts out of the process's environment by themselves, and dial
// when there is something to send. The processors of logs are the SDK's, which work in the background from now on: [Exports.Close] them where Run is never
// reached.
func OpenExports(ctx context.Context, e Exporting, o ExportsOptions) (*Exports, error) {
	x := &Exports{instance: newInstance(), plan: e, losses: losses{logger: o.Logger}}
	shared := newConsole(o.Console)
	var err error
	if x.about, err = describe(ctx, o.Version, x.instance); err != nil {
		return nil, err
	}
	var problems []error
	for s, open := range [signals]func(context.Context, string, bool, io.Writer) error{x.openTraces, x.openMetrics, x.openLogs} {
		for _, name := range e.exporters[s] {
			if err := open(ctx, name, e.grpc[s], consoleOf{shared, signal(s), &x.losses}); err != nil {
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

// openTraces opens a way for spans.
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

// openMetrics opens a way for metrics, to which they are pushed.
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

// openLogs opens a way for log records.
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
	processor := sdklog.NewBatchProcessor(counted, sdklog.WithExportInterval(b.delay), sdklog.WithExportTimeout(b.timeout),
		sdklog.WithMaxQueueSize(b.queue), sdklog.WithExportMaxBatchSize(min(b.size, b.queue)))
	x.processors = append(x.processors, &countedQueue{processor, counted})
	return nil
}

// client returns the client of an exporter by HTTP.
func (x *Exports) client(s signal) *http.Client {
	c := x.plan.reach[s].client()
	x.clients = append(x.clients, c)
	return c
}

// Instance returns the random id under which this process is told (service.instance.id, unless OTEL_RESOURCE_ATTRIBUTES has another), for [Options].
func (x *Exports) Instance() string { return x.instance }

// Readers returns what pushes metrics, for [Options].
func (x *Exports) Readers() (readers []sdkmetric.Reader) {
	for _, p := range x.pushers {
		readers = append(readers, p.reader)
	}
	return readers
}

// Attach shows in m what could not be exported. It is called once.
func (x *Exports) Attach(m *Metrics) error { return x.losses.observe(m) }

// flushWithin bounds how long the end of a process waits for collectors.
const flushWithin = 5 * time.Second

// Run sends traces until ctx ends, and then, within five seconds, all that is left of traces, metrics and logs. A collector's failures are counted; none
// is returned.
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
	x.hangUp()
	return err
}

// Close sends what is left of metrics and logs, within five seconds whether ctx has ended or not, and ends what works in the background. It may be
// called more than once.
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
	if x.traces == nil { // whose run ends them otherwise
		for _, e := range x.spans {
			all.Go(func() error { return e.Shutdown(ctx) })
		}
	}
	_ = all.Wait() // failed exports are counted; to be closed already is none
	x.hangUp()
}

// hangUp closes connections that nobody uses, which the exporters leave open.
func (x *Exports) hangUp() {
	for _, c := range x.clients {
		c.CloseIdleConnections()
	}
}
