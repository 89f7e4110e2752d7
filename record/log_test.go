package record_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"strings"
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
	all := written(t, level, shares, false, xs...)
	if direct := written(t, level, shares, true, xs...); !cmp.Equal(all, direct) {
		t.Errorf("lines that are encoded directly differ (-log/slog +direct):\n%s", cmp.Diff(all, direct))
	}
	return all
}

// written returns the decoded lines, encoded directly or by log/slog.
func written(t *testing.T, level slog.Level, shares map[string]float64, direct bool, xs ...*record.Exchange) []map[string]any {
	t.Helper()
	var out bytes.Buffer
	o := record.AccessLogOptions{Logger: slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: level})), Shares: shares}
	if direct {
		o.Lines = &out
	}
	keepers := record.Keepers{record.NewAccessLog(o)}
	for _, x := range xs {
		keepers.Keep(x)
	}
	return decode(t, &out)
}

// decode returns the lines in a log, without their times, which must be RFC 3339.
func decode(t *testing.T, log io.Reader) []map[string]any {
	t.Helper()
	var all []map[string]any
	for d := json.NewDecoder(log); d.More(); {
		var line map[string]any
		if err := d.Decode(&line); err != nil {
			t.Fatal(err)
		}
		if text, _ := line["time"].(string); text == "" {
			t.Errorf("the line has no time: %v", line)
		} else if at, err := time.Parse(time.RFC3339Nano, text); err != nil || time.Since(at) > time.Minute {
			t.Errorf("the time of the line is %q", text)
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

// FuzzBothEncodingsOfALineAreEqual for all texts, numbers and times.
func FuzzBothEncodingsOfALineAreEqual(f *testing.F) {
	f.Add("r1", "a \"quoted\" \\ text", "<&>\u2028\x7f\t\x00", int64(7), int64(1500), uint8(1))
	f.Add("", "invalid \xff\xc0 UTF-8", "\xed\xa0\x80", int64(-1), int64(0), uint8(0))
	f.Add("größe", "\U0001f600", "", int64(1<<60), int64(1<<40), uint8(255))
	f.Fuzz(func(t *testing.T, id, cause, rule string, bytes, micros int64, bits uint8) {
		took := time.Duration(micros) * time.Microsecond
		x := &record.Exchange{
			Cache: record.CacheResult{Hit: bits&32 > 0, TTL: took, Stored: bits&64 > 0, Detail: cause},
			ID:    id, Cause: cause, Rule: rule, Shadow: []string{rule, cause}, RequestBytes: bytes, Duration: took, Waited: took,
			Status: 200 + int(bits), Charged: bits&1 > 0, Aborted: bits&2 > 0, UpstreamAttempts: int(bits & 4), UpstreamDuration: took,
		}
		if bits&8 > 0 {
			x.PolicyErrors = []string{id}
			x.Stages[record.StageLimit], x.Stages[record.StageForward] = took, took/3
			x.Trace = record.Trace{Sampled: bits&16 > 0}
			copy(x.Trace.ID[:], "0123456789abcdef")
			copy(x.Trace.Span[:], "01234567")
		}
		lines(t, slog.LevelInfo, x)
	})
}

// TestALineIsEncodedWithoutGarbage: each exchange has one.
func TestALineIsEncodedWithoutGarbage(t *testing.T) {
	x := &record.Exchange{ID: "r", Status: 200, Trace: record.Trace{ID: [16]byte{1}}, Cache: record.CacheResult{Hit: true}, Shadow: []string{"rule"}}
	x.Stages[record.StageLimit] = time.Millisecond
	logger := slog.New(slog.NewJSONHandler(io.Discard, nil)) //nolint:sloglint // slog.DiscardHandler enables no level
	l := record.NewAccessLog(record.AccessLogOptions{Logger: logger, Lines: io.Discard})
	if n := testing.AllocsPerRun(1000, func() { l.Keep(x) }); n >= 1 { // the pool of lines may be emptied
		t.Errorf("%v allocations, want none", n)
	}
}

// TestALineIsOneWrite, so that lines of concurrent exchanges never mix.
func TestALineIsOneWrite(t *testing.T) {
	var w writes
	l := record.NewAccessLog(record.AccessLogOptions{Logger: slog.New(slog.NewJSONHandler(&w, nil)), Lines: &w})
	for range 3 {
		l.Keep(&record.Exchange{Status: 200})
	}
	if len(w) != 3 {
		t.Fatalf("3 lines were %d writes", len(w))
	}
	for _, line := range w {
		if !strings.HasPrefix(line, "{") || strings.Index(line, "\n") != len(line)-1 {
			t.Errorf("a write is not one line: %q", line)
		}
	}
}

// writes holds the text of each write.
type writes []string

// Write implements [io.Writer].
func (w *writes) Write(text []byte) (int, error) {
	*w = append(*w, string(text))
	return len(text), nil
}
