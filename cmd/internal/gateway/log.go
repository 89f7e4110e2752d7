package gateway

import (
	"bytes"
	"io"
	"log/slog"
	"time"

	"osgate/config"
	"osgate/telemetry"
)

// logWithin bounds how long the end of a process waits for somebody to read its log.
const logWithin = 2 * time.Second

// OpenLog returns a way to w that no exchange waits for, and what a process calls at its end to have written what waits, up to two seconds. What is lost
// is told by a line in the form that c has by then.
func OpenLog(w io.Writer, c *config.Log) (lines *telemetry.LogWriter, flush func()) {
	lines = telemetry.NewLogWriter(w, func(lost int64) []byte {
		var line bytes.Buffer
		NewLogger(&line, *c).Error("lines of the log are missing here: they were not read, or could not be written", "lines", lost)
		return line.Bytes()
	})
	return lines, func() { lines.Flush(logWithin) }
}

// NewLogger returns a logger to w in the form, and from the level on, that c says.
func NewLogger(w io.Writer, c config.Log) *slog.Logger {
	o := &slog.HandlerOptions{Level: c.Minimum()}
	if c.Format == "text" {
		return slog.New(slog.NewTextHandler(w, o))
	}
	return slog.New(slog.NewJSONHandler(w, o))
}
