package gateway

import (
	"bytes"
	"log" //nolint:depguard // net/http writes to it
	"log/slog"
	"strings"
	"testing"
)

// TestLogOfLibrariesIsKeptWithoutQuotedText repeats the message of net/http's
// transport about an unsolicited response. It changes the output of the process's log.
func TestLogOfLibrariesIsKeptWithoutQuotedText(t *testing.T) {
	var out, before bytes.Buffer
	defer log.SetOutput(log.Writer())
	log.SetOutput(&before)
	silence := Hear(slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
	log.Printf("Unsolicited response received on idle HTTP channel starting with %q; err=%v", "a-value", nil)
	silence()
	log.Print("afterwards")
	if text := out.String(); strings.Contains(text, "a-value") || !strings.Contains(text, `"level":"DEBUG"`) || !strings.Contains(text, "Unsolicited response") {
		t.Errorf("logged %s", text)
	}
	if text := before.String(); !strings.Contains(text, "afterwards") || strings.Contains(text, "Unsolicited") {
		t.Errorf("printed %q", text)
	}
}
