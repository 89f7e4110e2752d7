package record_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"osgate/record"
)

// lines returns the decoded lines of an access log for xs, without their times.
func lines(t *testing.T, level slog.Level, xs ...*record.Exchange) []map[string]any {
	t.Helper()
	return sampled(t, level, nil, xs...)
}

// sampled does the same as lines for a log with the given shares.
func sampled(t *testing.T, level slog.Level, shares map[string]float64, xs ...*record.Exchange) []map[string]any {
	t.Helper()
	var out bytes.Buffer
	keepers := record.Keepers{record.NewAccessLog(slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: level})), shares)}
	for _, x := range xs {
		keepers.Keep(x)
	}
	var all []map[string]any
	for d := json.NewDecoder(&out); d.More(); {
		var line map[string]any
		if err := d.Decode(&line); err != nil {
			t.Fatal(err)
		}
		delete(line, "time")
		all = append(all, line)
	}
	return all
}

func TestALineContainsAllKnownFieldsOfAnExchange(t *testing.T) {
	x := &record.Exchange{
		ID: "r1", Duration: 1500 * time.Microsecond, Method: "GET", Route: "/r", Surface: record.SurfaceObjectStore, Operation: "getKey", Plane: "us",
		Region: "us-east-1", Organization: "o", Environment: "e", Store: "s", Principal: "c", Status: 200, ResponseBytes: 7, Cache: record.CacheResult{Hit: true, TTL: 8 * time.Second}, Waited: time.Second,
	}
	want := []map[string]any{{
		"level": "INFO", "msg": "exchange", "request_id": "r1", "method": "GET", "route": "/r", "surface": "object-store", "operation": "getKey", "plane": "us",
		"region": "us-east-1", "organization": "o", "environment": "e", "store": "s", "principal": "c", "status": 200.0, "duration_ms": 1.5,
		"response_bytes": 7.0, "units": 1.0, "cache": "hit; ttl=8", "waited_ms": 1000.0,
	}}
	if diff := cmp.Diff(want, lines(t, slog.LevelInfo, x)); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
}

func TestFailuresAreWarnings(t *testing.T) {
	got := lines(t, slog.LevelWarn, &record.Exchange{Status: 499}, &record.Exchange{Status: 429}, &record.Exchange{Status: 502, Code: "upstream-unreachable", Cause: "refused", UpstreamAttempts: 1})
	want := []map[string]any{{
		"level": "WARN", "msg": "exchange", "status": 502.0, "duration_ms": 0.0, "code": "upstream-unreachable", "cause": "refused", "upstream_attempts": 1.0, "upstream_ms": 0.0,
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestStagesHaveNames(t *testing.T) {
	var names []string
	for s := record.StageLocate; s <= record.StageForward; s++ {
		names = append(names, s.String())
	}
	if diff := cmp.Diff([]string{"locate", "identify", "authorize", "limit", "cache", "forward"}, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
