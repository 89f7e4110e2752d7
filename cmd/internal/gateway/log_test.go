package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"osgate/admin"
	"osgate/config"
	"osgate/telemetry/logwriter"
)

func TestALogThatIsNotReadOrHasJustLostLinesIsAReason(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, tt := range map[string]struct {
		state logwriter.State
		want  string // empty: no reason
	}{
		"all well":            {logwriter.State{}, ""},
		"not read":            {logwriter.State{Unread: now}, "the log has not been read since 2026-01-02T03:04:05Z; lines wait in memory while there is room"},
		"lost just now":       {logwriter.State{Lost: 7, Last: now.Add(-59 * time.Second)}, "lines could not be written within the last minute and are lost, 7 of them since the start"},
		"lost a minute ago":   {logwriter.State{Lost: 7, Last: now.Add(-time.Minute)}, ""},
		"not read, and lost":  {logwriter.State{Lost: 7, Last: now, Unread: now}, "the log has not been read since 2026-01-02T03:04:05Z; lines wait in memory while there is room; lines could not be written within the last minute and are lost, 7 of them since the start"},
		"not read, lost once": {logwriter.State{Lost: 7, Last: now.Add(-time.Hour), Unread: now}, "the log has not been read since 2026-01-02T03:04:05Z; lines wait in memory while there is room"},
	} {
		r, ok := logReason(tt.state, now)
		if ok != (tt.want != "") || r.Detail != tt.want || r.Part != "log" {
			t.Errorf("%s: %v, %+v, want %q", name, ok, r, tt.want)
		}
	}
}

// broken is a writer whose other end is closed.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

// TestAGatewayServesWhileItsOutputIsUnread checks that the
// gateway is only degraded, because lines of the log are lost.
func TestAGatewayServesWhileItsOutputIsUnread(t *testing.T) {
	unread, w := io.Pipe()
	defer func() { _ = unread.Close() }()
	for name, out := range map[string]io.Writer{"nobody reads them": w, "nobody can": broken{}} {
		t.Run(name, func(t *testing.T) {
			lines := logwriter.New(broken{}, nil)
			g, err := New(Options{Config: configured(t), Logger: slog.New(slog.NewJSONHandler(lines, nil)), Log: lines, Out: out})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- g.Run(ctx) }()
			var r admin.Readiness
			deadline := time.After(time.Minute)
			for r = g.readiness(); r.Status != admin.Degraded; r = g.readiness() {
				select {
				case <-time.After(10 * time.Millisecond):
				case <-deadline:
					t.Fatalf("after a minute it is %+v", r)
				}
			}
			if !slices.ContainsFunc(r.Reasons, func(r admin.Reason) bool { return r.Part == "log" }) {
				t.Errorf("readiness %+v, want the log as a reason", r)
			}
			lines.Flush(time.Second)
			if page := scraped(t, &started{Gateway: g}); !strings.Contains(page, fmt.Sprint("osgate_log_lost_total ", lines.State().Lost)) {
				t.Errorf("no osgate_log_lost_total of %d", lines.State().Lost)
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

// recovering is a writer whose first write fails.
type recovering struct {
	failed bool
	journal
}

func (r *recovering) Write(p []byte) (int, error) {
	if !r.failed {
		r.failed = true
		return 0, errors.New("no space left on device")
	}
	return r.journal.Write(p)
}

func TestMissingLinesAreReportedInTheFormatOfTheLog(t *testing.T) {
	for form, want := range map[string]string{"json": `"level":"ERROR","msg":"lines of the log are missing here`, "text": `level=ERROR msg="lines of the log are missing here`} {
		var w recovering
		var c config.Log
		lines, flush := OpenLog(&w, &c)
		c = config.Log{Level: "error", Format: form}
		logger := NewLogger(lines, c)
		logger.Info("below the level")
		for i := range 3 {
			logger.Error("line", "number", i)
			flush()
		}
		got := strings.Split(w.String(), "\n")
		if len(got) != 4 || !strings.Contains(got[0], "line") || !strings.Contains(got[1], want) || !strings.Contains(got[2], "line") {
			t.Errorf("%s: logged\n%s", form, w.String())
		}
	}
}
