package record_test

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	"osgate/record"
)

// exchanges returns n copies of an exchange, each with its own id.
func exchanges(n int, of record.Exchange) []*record.Exchange {
	all := make([]*record.Exchange, n)
	for i := range all {
		x := of
		x.ID = fmt.Sprint(i)
		all[i] = &x
	}
	return all
}

func TestSampledLinesContainTheNumberTheyRepresent(t *testing.T) {
	shares := map[string]float64{"hit": 0.01, "ok": 0.25, "refused": 0}
	const n = 4_000
	for name, tt := range map[string]struct {
		x            record.Exchange
		kept, sample float64
	}{
		"hit":          {record.Exchange{Status: 200, Hit: true}, 40, 100},
		"ok":           {record.Exchange{Status: 200}, 1000, 4},
		"refused":      {record.Exchange{Status: 403, Code: "denied"}, 0, 0},
		"client_error": {record.Exchange{Status: 404}, n, 0},
		"error":        {record.Exchange{Status: 502}, n, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got := sampled(t, slog.LevelInfo, shares, exchanges(n, tt.x)...)
			if d := float64(len(got)) - tt.kept; d < -2 || d > 2 {
				t.Errorf("%d of %d lines kept, want %.0f", len(got), n, tt.kept)
			}
			for _, line := range got {
				if sample, _ := line["sample"].(float64); sample != tt.sample {
					t.Fatalf("a line has sample %v, want %v", line["sample"], tt.sample)
				}
			}
		})
	}
}

// Requests of a repeating sequence are kept in proportion, for any length of the
// sequence.
func TestSamplingDoesNotAlignWithTraffic(t *testing.T) {
	for _, round := range []int{2, 3, 4, 5, 10, 25, 50, 100, 128} {
		xs := exchanges(round*250, record.Exchange{Status: 200, Hit: true})
		var first int
		lines := sampled(t, slog.LevelInfo, map[string]float64{"hit": 0.04}, xs...)
		for _, line := range lines {
			var i int
			if _, err := fmt.Sscan(fmt.Sprint(line["request_id"]), &i); err != nil {
				t.Fatal(err)
			}
			if i%round == 0 {
				first++
			}
		}
		if first < 4 || first > 16 {
			t.Errorf("of 250 first requests of rounds of %d %d are kept, want about 10", round, first)
		}
	}
}

func TestErrorsAreNeverSampled(t *testing.T) {
	got := sampled(t, slog.LevelInfo, map[string]float64{"error": 0}, &record.Exchange{Status: 500})
	if len(got) != 1 {
		t.Errorf("%d lines of an error, want 1", len(got))
	}
}

func TestStagesAreInTheLineInTheirOrder(t *testing.T) {
	x := record.Exchange{Status: 200}
	x.Stages[record.StageLimit], x.Stages[record.StageForward] = 1500*time.Microsecond, 30*time.Millisecond
	line := lines(t, slog.LevelInfo, &x)[0]
	got, _ := line["stages_ms"].(map[string]any)
	if len(got) != 2 || got["limit"] != 1.5 || got["forward"] != 30.0 {
		t.Errorf("stages_ms is %v", line["stages_ms"])
	}
}

func BenchmarkAccessLog(b *testing.B) {
	x := record.Exchange{ID: "r", Method: "GET", Route: "/r", Surface: record.SurfaceObjectStore, Status: 200, Hit: true, Duration: time.Millisecond}
	for s := range x.Stages {
		x.Stages[s] = time.Microsecond
	}
	for _, share := range slices.Sorted(slices.Values([]float64{1, 0.01})) {
		for _, direct := range []bool{false, true} {
			o := record.AccessLogOptions{
				Logger: slog.New(slog.NewJSONHandler(io.Discard, nil)), //nolint:sloglint // the benchmark includes the cost of JSON
				Shares: map[string]float64{"hit": share},
			}
			if direct {
				o.Lines = io.Discard
			}
			l := record.NewAccessLog(o)
			b.Run(fmt.Sprintf("share=%v/direct=%v", share, direct), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					l.Keep(&x)
				}
			})
		}
	}
}
