package gateway

import (
	"log" //nolint:depguard // net/http writes to it
	"log/slog"
	"strings"

	"osgate/record"
)

// libraries is a writer for what libraries say by themselves: net/http's transport, of an answer that nobody asked for. It is told at DEBUG and without what
// they quote, which may be a value.
type libraries struct{ logger *slog.Logger }

// Write implements [io.Writer].
func (l libraries) Write(p []byte) (int, error) {
	l.logger.Debug("a library logged a message", "text", record.WithoutQuotes(strings.TrimSpace(string(p))))
	return len(p), nil
}

// Hear has logger tell what is written to package log, until silence is called. It is the process's one: nobody else may set it meanwhile.
func Hear(logger *slog.Logger) (silence func()) {
	flags, out := log.Flags(), log.Writer()
	log.SetFlags(0)
	log.SetOutput(libraries{logger})
	return func() {
		log.SetFlags(flags)
		log.SetOutput(out)
	}
}
