package record

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"time"
)

// AccessLog is a [Keeper] that writes one line per exchange: at level Warn if the
// status is a 5xx, of the gateway or of upstream, otherwise at Info. Empty fields are
// left out. docs/log.md describes the fields. Lines of a class can be sampled; a
// sampled line contains the number of lines that it represents, so that sums can be
// scaled.
type AccessLog struct {
	logger   *slog.Logger
	lines    *lineWriter // nil: lines are written by logger
	exported *slog.Logger
	exports  func(slog.Level, *Exchange) bool
	keep     [classes]sampler // indexed by class
}

// AccessLogOptions configure an [AccessLog]. Logger is required.
type AccessLogOptions struct {
	Logger *slog.Logger
	// Lines receives the lines as JSON, each with one Write, in the form of
	// [slog.JSONHandler]. It is the writer behind Logger, whose level still decides. nil:
	// Logger writes the lines, which takes several times the processor time.
	Lines io.Writer
	// Exported receives, in addition, the lines of the exchanges for which Exports
	// returns true; the level is that of the line. nil: none.
	Exported *slog.Logger
	Exports  func(level slog.Level, x *Exchange) bool
	// Shares maps a class of lines ("ok", "hit", "client_error", "refused") to the share
	// that is written, from 0 to 1. Lines of classes that are not in it, and of failures
	// ("error"), are all written.
	Shares map[string]float64
}

// NewAccessLog returns an AccessLog. It is safe for concurrent use if the logger's
// handler and Lines are.
func NewAccessLog(o AccessLogOptions) *AccessLog {
	l := &AccessLog{logger: o.Logger, exported: o.Exported, exports: o.Exports}
	if o.Lines != nil {
		l.lines = newLineWriter(o.Lines)
	}
	for c := range classes {
		share, named := o.Shares[c.String()]
		if !named || c == classError {
			share = 1
		}
		l.keep[c].share = share
	}
	return l
}

// AccessLine is the message of the lines of an [AccessLog]. No other line has this
// message.
const AccessLine = "exchange"

// Keep implements [Keeper].
func (l *AccessLog) Keep(x *Exchange) {
	level := slog.LevelInfo
	if x.Status >= 500 {
		level = slog.LevelWarn
	}
	ctx := context.Background() //nolint:forbidigo // the exchange and its context have ended
	sampler := &l.keep[x.class()]
	if !l.logger.Enabled(ctx, level) || !sampler.keeps() {
		return
	}
	if l.lines != nil {
		l.lines.write(level, x, sampler.share)
	}
	exported := l.exported != nil && l.exports(level, x)
	if l.lines != nil && !exported {
		return
	}
	a := make(attrs, 0, 40)
	x.describe(&a, sampler.share)
	if l.lines == nil {
		l.logger.LogAttrs(ctx, level, AccessLine, a...)
	}
	if exported {
		l.exported.LogAttrs(ctx, level, AccessLine, a...)
	}
}

// fields receives the fields of a line in their order. Its methods leave out values
// that are empty.
type fields interface {
	text(key, value string)
	number(key string, value int64)
	flag(key string, value bool)
	list(key string, values []string)
	integer(key string, value int64) // also 0
	float(key string, value float64) // also 0
	hex(key string, value []byte)
	cache(key string, value CacheResult)
	stages(key string, took *[stages]time.Duration)
}

// describe passes the fields of x that are known, in a line that stands for 1/share
// exchanges. Durations are in milliseconds.
func (x *Exchange) describe(f fields, share float64) {
	f.text("request_id", x.ID)
	f.text("caused_by", x.CausedBy)
	f.text("protocol", x.Protocol)
	f.text("method", x.Method)
	f.text("route", x.Route)
	f.text("surface", string(x.Surface))
	f.text("operation", x.Operation)
	f.text("remote_addr", x.RemoteAddr)
	if x.ClientAddr != x.RemoteAddr {
		f.text("client_addr", x.ClientAddr)
	}
	f.text("plane", x.Plane)
	f.text("region", x.Region)
	f.text("organization", x.Organization)
	f.text("environment", x.Environment)
	f.text("store", x.Store)
	f.text("principal", x.Principal)
	f.text("user", x.User)
	f.text("identified_by", x.IdentifiedBy)
	f.text("issuer", x.Issuer)
	x.describeAnswer(f)
	x.describeUpstream(f)
	f.number("units", cmp.Or(x.BilledUnits(), x.CountedUnits()))
	f.flag("charged", x.Charged)
	f.flag("degraded", x.Degraded)
	if x.Waited > 0 {
		f.float("waited_ms", milliseconds(x.Waited))
	}
	f.text("rule", x.Rule)
	f.list("shadow", x.Shadow)
	f.list("policy_errors", x.PolicyErrors)
	f.stages("stages_ms", &x.Stages)
	if x.Trace.On() {
		f.hex("trace_id", x.Trace.ID[:])
		f.hex("span_id", x.Trace.Span[:])
		f.flag("trace_sampled", x.Trace.Sampled)
	}
	if share < 1 {
		f.float("sample", 1/share)
	}
}

// describeAnswer passes the fields of the answer to the client.
func (x *Exchange) describeAnswer(f fields) {
	f.integer("status", int64(x.Status))
	f.float("duration_ms", milliseconds(x.Duration))
	f.text("code", string(x.Code))
	f.text("violated", x.Violated)
	f.text("cause", x.Cause)
	f.number("request_bytes", x.RequestBytes)
	f.number("response_bytes", x.ResponseBytes)
	f.flag("aborted", x.Aborted)
	f.cache("cache", x.Cache)
}

// describeUpstream passes the fields of the requests to upstream.
func (x *Exchange) describeUpstream(f fields) {
	f.text("upstream_client", x.UpstreamClient)
	f.number("upstream_attempts", int64(x.UpstreamAttempts))
	f.number("upstream_status", int64(x.UpstreamStatus))
	f.text("upstream_request_id", x.UpstreamRequestID)
	f.text("upstream_error", x.UpstreamError)
	if x.UpstreamAttempts > 0 {
		f.float("upstream_ms", milliseconds(x.UpstreamDuration))
	}
}
