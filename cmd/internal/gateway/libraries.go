package gateway

import (
	"log" //nolint:depguard // net/http writes to it
	"log/slog"
	"strings"

	"osgate/record"
)

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
