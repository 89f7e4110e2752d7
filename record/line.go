package record

import (
	"encoding/hex"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

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
