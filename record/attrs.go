package record

import (
	"log/slog"
	"time"
)

// attrs is a list of log attributes to which only what says something is added.
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

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
