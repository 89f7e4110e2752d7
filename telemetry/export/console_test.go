package export_test

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"osgate/record"
	"osgate/telemetry/export"
	"osgate/telemetry/metrics"
)

// TestAnUnreadConsoleDoesNotDelayTheEnd: a pipe that is full blocks its writer.
// Each export waits two seconds for a reader at most, and none once one has waited in
// vain, so that the end of the process waits no longer either.
func TestAnUnreadConsoleDoesNotDelayTheEnd(t *testing.T) {
	for _, tt := range []struct{ serves, atMost time.Duration }{
		{0, 2 * time.Second},
		{500 * time.Millisecond, 2 * time.Second},
		{1500 * time.Millisecond, 2 * time.Second},
		{2 * time.Second, 2 * time.Second},
		{10 * time.Second, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			r, w := io.Pipe()
			var log lockedBuffer
			run, emit := unreadConsole(t, w, &log)
			ctx, stop := context.WithCancel(t.Context())
			over := make(chan error, 1)
			go func() { over <- run(ctx) }()
			emit()
			<-time.After(tt.serves)
			stop()
			began := time.Now()
			if err := <-over; err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took > tt.atMost {
				t.Errorf("after %v of service the end took %v, want at most %v", tt.serves, took, tt.atMost)
			}
			if !strings.Contains(log.text.String(), "the console is not read") {
				t.Errorf("logged:\n%s", log.text.String())
			}
			_ = r.Close() // ends the write that was given up
		})
	}
}

// unreadConsole returns exports to the console w, and a function that exports something
// of each kind: traces, metrics and logs.
func unreadConsole(t *testing.T, w io.Writer, log *lockedBuffer) (run func(context.Context) error, emit func()) {
	t.Helper()
	plan, err := export.ReadPlan(environment(map[string]string{
		"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "console", "OTEL_LOGS_EXPORTER": "console", "OTEL_TRACES_SAMPLER": "always_on",
		"OTEL_METRIC_EXPORT_INTERVAL": "1000", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "1",
	}))
	if err != nil {
		t.Fatal(err)
	}
	logged := slog.New(slog.NewTextHandler(log, nil))
	exports, err := export.Open(t.Context(), plan, export.Options{Console: w, Logger: logged})
	if err != nil {
		t.Fatal(err)
	}
	m := newMetrics(t, metrics.Options{Readers: exports.Readers()})
	traces := exports.NewTraces(export.TracesOptions{})
	logger := exports.Logger(slog.New(slog.NewTextHandler(&lockedBuffer{}, nil)))
	return exports.Run, func() {
		for range 100 {
			traces.Keep(&record.Exchange{Start: time.Now(), Trace: traces.Begin(record.Trace{}, false)})
			logger.Info("a line")
		}
		m.Keep(&record.Exchange{Method: "GET", Status: 200})
	}
}

// TestAConsoleThatIsReadAgainIsWrittenAgain: lines stay whole.
func TestAConsoleThatIsReadAgainIsWrittenAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		plan, err := export.ReadPlan(environment(map[string]string{
			"OTEL_LOGS_EXPORTER": "console", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": "1",
		}))
		if err != nil {
			t.Fatal(err)
		}
		quiet := slog.New(slog.DiscardHandler)
		exports, err := export.Open(t.Context(), plan, export.Options{Console: w, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		logger := exports.Logger(slog.New(slog.NewTextHandler(&lockedBuffer{}, nil)))
		logger.Info("first")
		<-time.After(time.Minute)
		logger.Info("lost")
		<-time.After(time.Minute)
		text := make(chan string)
		go func() {
			all, _ := io.ReadAll(r)
			text <- string(all)
		}()
		synctest.Wait()
		logger.Info("last")
		<-time.After(time.Minute)
		exports.Close(t.Context())
		_ = w.Close()
		got := <-text
		if !strings.Contains(got, `"first"`) || strings.Contains(got, `"lost"`) || !strings.Contains(got, `"last"`) || strings.Count(got, "\n") != 2 {
			t.Errorf("written:\n%s", got)
		}
	})
}
