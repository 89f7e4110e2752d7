package record

import (
	"cmp"
	"context"
	"encoding/hex"
	"io"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json/jsontext"
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

// line is a line of the access log as JSON: the form of [slog.JSONHandler], encoded
// without attributes in between, because this is done for each exchange
// (BenchmarkAccessLog compares the two).
type line struct {
	b    []byte
	room []byte // for a value that is quoted
}

// lineWriter writes lines. It is safe for concurrent use if its writer is.
type lineWriter struct {
	w    io.Writer
	room sync.Pool // of *line
}

func newLineWriter(w io.Writer) *lineWriter {
	return &lineWriter{w: w, room: sync.Pool{New: func() any { return &line{b: make([]byte, 0, 1024)} }}}
}

// write writes the line of x, which stands for 1/share exchanges.
func (lw *lineWriter) write(level slog.Level, x *Exchange, share float64) {
	l, _ := lw.room.Get().(*line)
	l.b = append(l.b[:0], `{"time":"`...)
	l.b = time.Now().AppendFormat(l.b, time.RFC3339Nano)
	l.b = append(l.b, `","level":"`...)
	l.b = append(l.b, level.String()...)
	l.b = append(l.b, `","msg":"`+AccessLine+`"`...)
	x.describe(l, share)
	l.b = append(l.b, "}\n"...)
	_, _ = lw.w.Write(l.b) // a logger has no use for the error either
	if cap(l.b) <= maxLine {
		lw.room.Put(l)
	}
}

// maxLine is the capacity in bytes up to which a line is reused.
const maxLine = 16 << 10

// key begins a field. Keys need no escapes.
func (l *line) key(key string) {
	l.b = append(l.b, ',', '"')
	l.b = append(l.b, key...)
	l.b = append(l.b, '"', ':')
}

func (l *line) text(key, value string) {
	if value != "" {
		l.key(key)
		l.b = quote(l.b, value)
	}
}

// quote appends a JSON string.
func quote[T string | []byte](b []byte, s T) []byte {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\\' {
			b, _ = jsontext.AppendQuote(b, s) // its error is invalid UTF-8, which it replaces
			return b
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

func (l *line) number(key string, value int64) {
	if value != 0 {
		l.integer(key, value)
	}
}

func (l *line) integer(key string, value int64) {
	l.key(key)
	l.b = strconv.AppendInt(l.b, value, 10)
}

func (l *line) float(key string, value float64) {
	l.key(key)
	l.b = strconv.AppendFloat(l.b, value, 'f', -1, 64)
}

func (l *line) flag(key string, value bool) {
	if value {
		l.key(key)
		l.b = append(l.b, "true"...)
	}
}

func (l *line) list(key string, values []string) {
	if len(values) == 0 {
		return
	}
	l.key(key)
	for i, v := range values {
		l.b = append(l.b, "[,"[min(i, 1)])
		l.b = quote(l.b, v)
	}
	l.b = append(l.b, ']')
}

func (l *line) hex(key string, value []byte) {
	l.key(key)
	l.b = append(l.b, '"')
	l.b = hex.AppendEncode(l.b, value)
	l.b = append(l.b, '"')
}

func (l *line) cache(key string, value CacheResult) {
	if !value.IsZero() {
		l.room = value.append(l.room[:0])
		l.key(key)
		l.b = quote(l.b, l.room)
	}
}

// stages adds the time in each stage, like the method of attrs.
func (l *line) stages(key string, took *[stages]time.Duration) {
	begin := len(l.b)
	l.key(key)
	l.b = append(l.b, '{')
	first := len(l.b)
	for s, d := range took {
		if d > 0 {
			l.float(Stage(s).String(), milliseconds(d))
		}
	}
	if len(l.b) == first {
		l.b = l.b[:begin]
		return
	}
	l.b = append(slices.Delete(l.b, first, first+1), '}') // without the first comma
}

// class is the kind of an exchange's line in the access log. Each class can be sampled.
// A class groups exchanges by what the client received; [Outcome] is finer and also
// considers what upstream answered.
type class uint8

// The classes. Each exchange has exactly one: the first that applies, from the bottom
// up.
const (
	classOK          class = iota // a status below 400, from upstream or from the gateway
	classHit                      // the same, from the cache
	classClientError              // upstream answered 4xx, or the client left
	classRefused                  // a problem of the gateway with a status below 500
	classError                    // a 5xx, an answer that was cut off, or a policy rule that could not be evaluated
	classes
)

// String returns the class as written in OSGATE_LOG_SAMPLE: "ok", "hit",
// "client_error", "refused", "error".
func (c class) String() string {
	return [classes]string{"ok", "hit", "client_error", "refused", "error"}[c]
}

// class returns the class of x.
func (x *Exchange) class() class {
	switch {
	case x.Status >= http.StatusInternalServerError, x.Aborted && !x.ClientLeft(), len(x.PolicyErrors) > 0:
		return classError
	case x.Code != "" && !x.ClientLeft():
		return classRefused
	case x.Status >= http.StatusBadRequest:
		return classClientError
	case x.Hit:
		return classHit
	}
	return classOK
}

// sampler decides which lines of one class are kept. The zero sampler keeps none.
type sampler struct {
	share float64 // from 0 to 1
	seen  atomic.Uint64
}

// golden is 2^64 divided by the golden ratio. Its multiples modulo 2^64 fill the range
// evenly (Weyl sequence), so the share is exact within one or two lines, and regular
// traffic does not align with it. Request ids are not used, because clients choose
// them.
const golden = 0x9e3779b97f4a7c15

// keeps reports whether to keep the next line.
func (t *sampler) keeps() bool {
	switch {
	case t.share >= 1:
		return true
	case t.share <= 0:
		return false
	}
	return float64(t.seen.Add(1)*golden) < t.share*math.MaxUint64
}
