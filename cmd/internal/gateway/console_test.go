package gateway

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// TestTheAddressesAreWrittenBeforeConsoleExports checks that the
// addresses are the first lines of standard output: programs read two lines and no
// more.
func TestTheAddressesAreWrittenBeforeConsoleExports(t *testing.T) {
	r, w := io.Pipe()
	defer func() { _ = r.Close() }() // ends the write that was abandoned
	g, err := New(Options{
		Config: configured(t), Logger: slog.New(slog.DiscardHandler), Out: w,
		Environ: []string{"OTEL_METRICS_EXPORTER=console", "OTEL_METRIC_EXPORT_INTERVAL=1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	<-time.After(20 * time.Millisecond) // until a metric can be exported
	go func() { done <- g.Run(ctx) }()
	lines := bufio.NewScanner(r)
	for _, want := range []string{"clients http://", "admin http://"} {
		if !lines.Scan() || !strings.HasPrefix(lines.Text(), want) {
			t.Errorf("read %q, want %s…", lines.Text(), want)
		}
	}
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("it does not end")
	}
}
