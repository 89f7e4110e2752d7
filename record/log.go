package record

import (
	"cmp"
	"context"
	"encoding/hex"
	"log/slog"
)

// AccessLog is a [Keeper] that writes one line per exchange: at level Warn if the
// status is a 5xx, of the gateway or of upstream, otherwise at Info. Empty fields are
// left out. docs/operations.md describes the fields. Lines of a class can be sampled; a
// sampled line contains the number of lines that it represents, so that sums can be
// scaled.
type AccessLog struct {
	logger *slog.Logger
	keep   [classes]sampler // indexed by class
}

// NewAccessLog returns an AccessLog that writes to logger. shares maps a class of lines
// ("ok", "hit", "client_error", "refused") to the share that is written, from 0 to 1.
// Lines of classes that are not in shares, and of failures ("error"), are all written.
// It is safe for concurrent use if the logger's handler is.
func NewAccessLog(logger *slog.Logger, shares map[string]float64) *AccessLog {
	l := &AccessLog{logger: logger}
	for c := range classes {
		share, named := shares[c.String()]
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
	a := x.attrs()
	if sampler.share < 1 {
		a = append(a, slog.Float64("sample", 1/sampler.share))
	}
	l.logger.LogAttrs(ctx, level, AccessLine, a...)
}

// attrs returns the fields of x that are known. Durations are in milliseconds.
func (x *Exchange) attrs() []slog.Attr {
	a := make(attrs, 0, 40)
	a.text("request_id", x.ID)
	a.text("caused_by", x.CausedBy)
	a.text("protocol", x.Protocol)
	a.text("method", x.Method)
	a.text("route", x.Route)
	a.text("surface", string(x.Surface))
	a.text("operation", x.Operation)
	a.text("remote_addr", x.RemoteAddr)
	if x.ClientAddr != x.RemoteAddr {
		a.text("client_addr", x.ClientAddr)
	}
	a.text("plane", x.Plane)
	a.text("region", x.Region)
	a.text("organization", x.Organization)
	a.text("environment", x.Environment)
	a.text("store", x.Store)
	a.text("principal", x.Principal)
	a.text("user", x.User)
	a = append(a, slog.Int("status", x.Status), slog.Float64("duration_ms", milliseconds(x.Duration)))
	a.text("code", string(x.Code))
	a.text("cause", x.Cause)
	a.number("request_bytes", x.RequestBytes)
	a.number("response_bytes", x.ResponseBytes)
	a.flag("aborted", x.Aborted)
	a.text("cache", x.Cache.Text())
	a.number("upstream_attempts", int64(x.UpstreamAttempts))
	a.number("upstream_status", int64(x.UpstreamStatus))
	a.text("upstream_request_id", x.UpstreamRequestID)
	a.text("upstream_error", x.UpstreamError)
	if x.UpstreamAttempts > 0 {
		a = append(a, slog.Float64("upstream_ms", milliseconds(x.UpstreamDuration)))
	}
	a.number("units", cmp.Or(x.BilledUnits(), x.CountedUnits()))
	a.flag("charged", x.Charged)
	a.flag("degraded", x.Degraded)
	if x.Waited > 0 {
		a = append(a, slog.Float64("waited_ms", milliseconds(x.Waited)))
	}
	a.text("rule", x.Rule)
	a.list("shadow", x.Shadow)
	a.list("policy_errors", x.PolicyErrors)
	a.stages("stages_ms", &x.Stages)
	if x.Trace.On() {
		a = append(a, slog.String("trace_id", hex.EncodeToString(x.Trace.ID[:])), slog.String("span_id", hex.EncodeToString(x.Trace.Span[:])))
		a.flag("trace_sampled", x.Trace.Sampled)
	}
	return a
}
