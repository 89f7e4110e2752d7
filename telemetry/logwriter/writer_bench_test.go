package logwriter_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"testing"
	"time"

	"osgate/record"
	"osgate/telemetry/logwriter"
)

// BenchmarkAccessLogTo measures the cost of an exchange's line: with a direct write,
// and with a [logwriter.Writer]. The time ends when all lines are written.
func BenchmarkAccessLogTo(b *testing.B) {
	for _, place := range []string{"null", "file", "pipe"} {
		for _, queued := range []bool{false, true} {
			for _, parallel := range []bool{false, true} {
				b.Run(fmt.Sprintf("place=%s/parallel=%v/queued=%v", place, parallel, queued), func(b *testing.B) {
					benchmarkLog(b, openLog(b, place), queued, parallel)
				})
			}
		}
	}
}

func benchmarkLog(b *testing.B, w io.Writer, queued, parallel bool) {
	b.Helper()
	lines := logwriter.New(w, nil)
	if queued {
		w = lines
	}
	x := &record.Exchange{
		ID: "request-1", Duration: 40 * time.Millisecond, Method: http.MethodGet, Route: "/api/v1/keys/{keyId}",
		Surface: record.SurfaceObjectStore, Operation: "getKey", Plane: "us", Region: "us-east-1",
		Organization: "org", Environment: "env", Store: "store", Principal: "client", Client: "client",
		Status: 200, Cache: record.CacheResult{Forward: record.ForwardMiss, Stored: true}, Charged: true,
		UpstreamAttempts: 1, UpstreamStatus: 200, UpstreamDuration: 30 * time.Millisecond, RequestBytes: 10, ResponseBytes: 300,
	}
	keeper := record.NewAccessLog(record.AccessLogOptions{Logger: slog.New(slog.NewJSONHandler(w, nil)), Lines: w})
	b.ReportAllocs()
	if parallel {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				keeper.Keep(x)
			}
		})
	} else {
		for b.Loop() {
			keeper.Keep(x)
		}
	}
	lines.Flush(time.Minute)
	b.ReportMetric(float64(lines.State().Lost)/float64(b.N), "lost/op")
}

func openLog(b *testing.B, place string) io.Writer {
	b.Helper()
	var w *os.File
	var err error
	switch place {
	case "null":
		w, err = os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	case "file":
		w, err = os.Create(b.TempDir() + "/log")
	default:
		var r *os.File
		if r, w, err = os.Pipe(); err == nil {
			over := make(chan struct{})
			go func() { defer close(over); _, _ = io.Copy(io.Discard, r) }()
			b.Cleanup(func() { <-over; _ = r.Close() })
		}
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = w.Close() })
	return w
}
