package telemetry_test

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"osgate/record"
	"osgate/telemetry"
)

// TestAConsoleThatIsNotReadDoesNotHoldUpTheEnd: a pipe blocks whoever writes to it when it is full.
func TestAConsoleThatIsNotReadDoesNotHoldUpTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plan, err := telemetry.ReadExporting(environment(map[string]string{
			"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "console", "OTEL_LOGS_EXPORTER": "console", "OTEL_TRACES_SAMPLER": "always_on",
			"OTEL_METRIC_EXPORT_INTERVAL": "1000", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "1",
		}))
		if err != nil {
			t.Fatal(err)
		}
		r, w := io.Pipe()
		var log lockedBuffer
		exports, err := telemetry.OpenExports(t.Context(), plan, telemetry.ExportsOptions{Console: w, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		m := newMetrics(t, telemetry.Options{Readers: exports.Readers()})
		traces, logger := exports.NewTraces(telemetry.TracesOptions{}), exports.Logger(slog.New(slog.NewTextHandler(&lockedBuffer{}, nil)))
		ctx, stop := context.WithCancel(t.Context())
		over := make(chan error, 1)
		go func() { over <- exports.Run(ctx) }()
		for range 100 {
			traces.Keep(&record.Exchange{Start: time.Now(), Trace: traces.Begin(record.Trace{}, false)})
			logger.Info("a line")
		}
		m.Keep(getKey())
		<-time.After(10 * time.Second)
		stop()
		began := time.Now()
		if err := <-over; err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("it took %v", took)
		}
		if !strings.Contains(log.text.String(), "the console is not read") {
			t.Errorf("logged:\n%s", log.text.String())
		}
		_ = r.Close() // ends the write that was given up
	})
}

// TestAConsoleThatIsReadAgainIsWrittenAgain: lines stay whole.
func TestAConsoleThatIsReadAgainIsWrittenAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		plan, err := telemetry.ReadExporting(environment(map[string]string{"OTEL_LOGS_EXPORTER": "console", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": "1"}))
		if err != nil {
			t.Fatal(err)
		}
		exports, err := telemetry.OpenExports(t.Context(), plan, telemetry.ExportsOptions{Console: w, Logger: slog.New(slog.DiscardHandler)})
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
