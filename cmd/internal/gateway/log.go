package gateway

import (
	"bytes"
	"io"
	"log" //nolint:depguard // net/http writes to it
	"log/slog"
	"strings"
	"time"

	"osgate/config"
	"osgate/record"
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

// libraries is a writer for messages that libraries log by themselves, such as that of
// net/http's transport about an unsolicited response. It logs them at DEBUG without
// quoted text, which may be a value.
type libraries struct{ logger *slog.Logger }

// Write implements [io.Writer].
func (l libraries) Write(p []byte) (int, error) {
	l.logger.Debug("a library logged a message", "text", record.WithoutQuotes(strings.TrimSpace(string(p))))
	return len(p), nil
}

// Hear makes package log write to logger until silence is called. The output of package
// log belongs to the process, so no other code may set it meanwhile.
func Hear(logger *slog.Logger) (silence func()) {
	flags, out := log.Flags(), log.Writer()
	log.SetFlags(0)
	log.SetOutput(libraries{logger})
	return func() {
		log.SetFlags(flags)
		log.SetOutput(out)
	}
}
