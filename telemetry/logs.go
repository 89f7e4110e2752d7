package telemetry

import (
	"context"
	"encoding/hex"
	"log/slog"

	"go.opentelemetry.io/contrib/bridges/otelslog"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/trace"

	"osgate/record"
)

// Logger returns a logger that writes what logger writes and exports it too; logger itself where no logs are exported.
func (x *Exports) Logger(logger *slog.Logger) *slog.Logger {
	if len(x.processors) == 0 {
		return logger
	}
	options := []sdklog.LoggerProviderOption{sdklog.WithResource(x.about), sdklog.WithAllowKeyDuplication()} // no record of ours repeats a key
	for _, p := range x.processors {
		options = append(options, sdklog.WithProcessor(p))
	}
	exported := otelslog.NewHandler("osgate", otelslog.WithLoggerProvider(sdklog.NewLoggerProvider(options...)))
	return slog.New(slog.NewMultiHandler(logger.Handler(), &bridge{exported, logger.Handler(), x.plan.everyLine}))
}

// bridge exports the records that are written, under the trace that they name. Unless every line is asked for, it leaves out the access log's lines below
// a warning but for those of sampled traces: a record for each exchange costs more than the rest of telemetry together.
type bridge struct {
	slog.Handler // exports
	written      slog.Handler
	everyLine    bool
}

// Enabled implements [slog.Handler]: the least level is that of what is written.
func (b *bridge) Enabled(ctx context.Context, level slog.Level) bool {
	return b.written.Enabled(ctx, level)
}

// Handle implements [slog.Handler].
func (b *bridge) Handle(ctx context.Context, r slog.Record) error {
	var c trace.SpanContextConfig
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "trace_id":
			_, _ = hex.Decode(c.TraceID[:], []byte(a.Value.String())) // one that is none is not valid then
		case "span_id":
			_, _ = hex.Decode(c.SpanID[:], []byte(a.Value.String()))
		case "trace_sampled":
			c.TraceFlags = trace.FlagsSampled
		}
		return true
	})
	named := trace.NewSpanContext(c)
	if r.Message == record.AccessLine && r.Level < slog.LevelWarn && !named.IsSampled() && !b.everyLine {
		return nil
	}
	if named.IsValid() {
		ctx = trace.ContextWithSpanContext(ctx, named)
	}
	return b.Handler.Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (b *bridge) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &bridge{b.Handler.WithAttrs(attrs), b.written, b.everyLine}
}

// WithGroup implements [slog.Handler].
func (b *bridge) WithGroup(name string) slog.Handler {
	return &bridge{b.Handler.WithGroup(name), b.written, b.everyLine}
}
