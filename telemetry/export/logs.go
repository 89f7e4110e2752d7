package export

import (
	"context"
	"encoding/hex"
	"log/slog"

	"go.opentelemetry.io/contrib/bridges/otelslog"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/trace"

	"osgate/record"
)

// Logger returns a logger that writes to logger and also exports. It returns logger
// itself if logs are not exported.
func (x *Exports) Logger(logger *slog.Logger) *slog.Logger {
	exported := x.Exporter(logger)
	if exported == nil {
		return logger
	}
	return slog.New(slog.NewMultiHandler(logger.Handler(), exported.Handler()))
}

// ExportsLine reports whether the line of e in the access log is exported. Unless the
// environment names an exporter of logs, only failures (level Warn) and exchanges of
// sampled traces are: one record per exchange costs more than all other telemetry
// together.
func (x *Exports) ExportsLine(level slog.Level, e *record.Exchange) bool {
	return x.plan.everyLine || level >= slog.LevelWarn || e.Trace.On() && e.Trace.Sampled
}

// Exporter returns a logger that exports what logger would write, and writes nothing. It
// returns nil if logs are not exported.
func (x *Exports) Exporter(logger *slog.Logger) *slog.Logger {
	if len(x.processors) == 0 {
		return nil
	}
	// our records have no duplicate keys
	options := []sdklog.LoggerProviderOption{sdklog.WithResource(x.about), sdklog.WithAllowKeyDuplication()}
	for _, p := range x.processors {
		options = append(options, sdklog.WithProcessor(p))
	}
	exported := otelslog.NewHandler("osgate", otelslog.WithLoggerProvider(sdklog.NewLoggerProvider(options...)))
	return slog.New(&bridge{exported, logger.Handler()})
}

// bridge exports the records that are written, with the trace that they name.
type bridge struct {
	slog.Handler // exports
	written      slog.Handler
}

// Enabled implements [slog.Handler]. The level is that of the written log.
func (b *bridge) Enabled(ctx context.Context, level slog.Level) bool {
	return b.written.Enabled(ctx, level)
}

// Handle implements [slog.Handler].
func (b *bridge) Handle(ctx context.Context, r slog.Record) error {
	var c trace.SpanContextConfig
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "trace_id":
			_, _ = hex.Decode(c.TraceID[:], []byte(a.Value.String())) // an invalid id makes the context invalid
		case "span_id":
			_, _ = hex.Decode(c.SpanID[:], []byte(a.Value.String()))
		case "trace_sampled":
			c.TraceFlags = trace.FlagsSampled
		}
		return true
	})
	if named := trace.NewSpanContext(c); named.IsValid() {
		ctx = trace.ContextWithSpanContext(ctx, named)
	}
	return b.Handler.Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (b *bridge) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &bridge{b.Handler.WithAttrs(attrs), b.written}
}

// WithGroup implements [slog.Handler].
func (b *bridge) WithGroup(name string) slog.Handler {
	return &bridge{b.Handler.WithGroup(name), b.written}
}
