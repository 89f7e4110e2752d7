package gateway

import (
	"bytes"
	"io"
	"log/slog"
	"time"

	"osgate/config"
	"osgate/telemetry/logwriter"
)

// logWithin bounds how long the end of a process waits for its log to be read.
const logWithin = 2 * time.Second

// OpenLog returns a writer to w that no exchange waits for, and a function to call at
// the end of the process, which waits up to two seconds for the remaining lines. A line
// in the format that c has by then states how many lines were lost.
func OpenLog(w io.Writer, c *config.Log) (lines *logwriter.Writer, flush func()) {
	lines = logwriter.New(w, func(lost int64) []byte {
		var line bytes.Buffer
		NewLogger(&line, *c).Error("lines of the log are missing here: they were not read, or could not be written",
			"lines", lost)
		return line.Bytes()
	})
	return lines, func() { lines.Flush(logWithin) }
}

// NewLogger returns a logger to w with the format and the lowest level of c.
func NewLogger(w io.Writer, c config.Log) *slog.Logger {
	o := &slog.HandlerOptions{Level: c.Minimum()}
	if c.Format == "text" {
		return slog.New(slog.NewTextHandler(w, o))
	}
	return slog.New(slog.NewJSONHandler(w, o))
}
