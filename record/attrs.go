package record

import (
	"encoding/hex"
	"log/slog"
	"time"
)

// attrs are the fields of a line as attributes of [log/slog].
type attrs []slog.Attr

func (a *attrs) text(key, value string) {
	if value != "" {
		*a = append(*a, slog.String(key, value))
	}
}

func (a *attrs) number(key string, value int64) {
	if value != 0 {
		*a = append(*a, slog.Int64(key, value))
	}
}

func (a *attrs) flag(key string, value bool) {
	if value {
		*a = append(*a, slog.Bool(key, true))
	}
}

func (a *attrs) list(key string, values []string) {
	if len(values) > 0 {
		*a = append(*a, slog.Any(key, values))
	}
}

func (a *attrs) integer(key string, value int64) { *a = append(*a, slog.Int64(key, value)) }

func (a *attrs) float(key string, value float64) { *a = append(*a, slog.Float64(key, value)) }

func (a *attrs) hex(key string, value []byte) { a.text(key, hex.EncodeToString(value)) }

func (a *attrs) cache(key string, value CacheResult) { a.text(key, value.Text()) }

// stages adds the time in each stage, in milliseconds, as a group in the order of the
// stages. Stages that took no time are left out.
func (a *attrs) stages(key string, took *[stages]time.Duration) {
	group := make([]slog.Attr, 0, stages)
	for s, d := range took {
		if d > 0 {
			group = append(group, slog.Float64(Stage(s).String(), milliseconds(d)))
		}
	}
	if len(group) > 0 {
		*a = append(*a, slog.Attr{Key: key, Value: slog.GroupValue(group...)})
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
