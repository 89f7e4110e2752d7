package record

import (
	"context"
	"log/slog"
)

// AccessLog is a [Keeper] that writes one line per exchange: at Info, at Warn where the answer is a 5xx of ours or upstream's. Empty fields are left
// out. The field names are those of docs/operations.md.
type AccessLog struct {
	logger *slog.Logger
}

// NewAccessLog returns an AccessLog that writes to logger. It is safe for concurrent use as the logger's handler is.
func NewAccessLog(logger *slog.Logger) *AccessLog { return &AccessLog{logger: logger} }

// Keep implements [Keeper].
func (l *AccessLog) Keep(x *Exchange) {
	level := slog.LevelInfo
	if x.Status >= 500 {
		level = slog.LevelWarn
	}
	ctx := context.Background() //nolint:forbidigo // the exchange is over, and its context with it
	if l.logger.Enabled(ctx, level) {
		l.logger.LogAttrs(ctx, level, "exchange", x.attrs()...)
	}
}

// attrs lists what is known of x, durations in milliseconds.
func (x *Exchange) attrs() []slog.Attr {
	a := make(attrs, 0, 32)
	a.text("request_id", x.ID)
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
	a.text("code", x.Code)
	a.text("cause", x.Cause)
	a.number("request_bytes", x.RequestBytes)
	a.number("response_bytes", x.ResponseBytes)
	a.flag("aborted", x.Aborted)
	a.text("cache", x.Cache)
	a.number("upstream_attempts", int64(x.UpstreamAttempts))
	a.number("upstream_status", int64(x.UpstreamStatus))
	if x.UpstreamAttempts > 0 {
		a = append(a, slog.Float64("upstream_ms", milliseconds(x.UpstreamDuration)))
	}
	a.flag("degraded", x.Degraded)
	if x.Waited > 0 {
		a = append(a, slog.Float64("waited_ms", milliseconds(x.Waited)))
	}
	a.text("rule", x.Rule)
	return a
}
