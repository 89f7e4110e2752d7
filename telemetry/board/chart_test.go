package board_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"osgate/record"
	"osgate/telemetry/board"
)

// hit returns a read that the cache answered.
func hit() *record.Exchange {
	x := getKey()
	x.Hit, x.Cache, x.UpstreamAttempts, x.UpstreamStatus, x.UpstreamDuration = true, record.CacheResult{Hit: true, TTL: 8 * time.Second}, 0, 0, 0
	return x
}

// refused returns an exchange that was answered with code.
func refused(code string, status int) *record.Exchange {
	x := getKey()
	x.Code, x.Status, x.Cache, x.UpstreamAttempts, x.UpstreamStatus, x.UpstreamDuration = record.Code(code), status, record.CacheResult{}, 0, 0, 0
	return x
}

// same compares series; NaN equals NaN.
func same(t *testing.T, what string, got board.Series, want ...float64) {
	t.Helper()
	if diff := cmp.Diff(board.Series(want), got, cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestChartsTellEachFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := board.New(board.Gauges{})
		start := time.Now()
		keep := func(xs ...*record.Exchange) {
			for _, x := range xs {
				b.Keep(x)
			}
		}
		unreachable := refused("upstream-unreachable", 502)
		unreachable.UpstreamAttempts = 1
		keep(getKey(), hit(), hit(), refused("over-quota", 429))
		pass(4999 * time.Millisecond)
		keep(hit(), unreachable)
		pass(5001 * time.Millisecond) // no exchange in the second interval
		keep(refused("over-quota", 429), refused("denied", 403))
		pass(5 * time.Second)
		keep(getKey()) // in the current interval
		pass(time.Second)
		r := b.Recent(time.Now(), board.MaxRecent)
		none := math.NaN()
		same(t, "hits", r.Outcomes[record.OutcomeHit], 0.6, 0, 0)
		same(t, "forwarded", r.Outcomes[record.OutcomeUpstreamOK], 0.2, 0, 0)
		same(t, "failed", r.Outcomes[record.OutcomeUpstreamError], 0.2, 0, 0)
		same(t, "refused", r.Outcomes[record.OutcomeRefused], 0.2, 0, 0.4)
		same(t, "over quota", r.Refused["over-quota"], 0.2, 0, 0.2)
		same(t, "denied", r.Refused["denied"], 0, 0, 0.2)
		same(t, "hit ratio", r.HitRatio, 0.75, none, none)
		if len(r.Outcomes) != len(record.Outcomes()) || len(r.Refused) != 2 {
			t.Errorf("outcomes %v, refused %v; want all outcomes, and refusals alone", r.Outcomes, r.Refused)
		}
		if want := start.Add(15 * time.Second); r.Step != 5 || !r.End.Equal(want) {
			t.Errorf("step %d, end %v; want 5, %v", r.Step, r.End, want)
		}
	})
}

func TestChartsTellQuantiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := board.New(board.Gauges{})
		for i := 1; i <= 100; i++ {
			x := getKey()
			x.Duration, x.UpstreamDuration = time.Duration(i)*time.Millisecond, time.Duration(i)*100*time.Microsecond
			b.Keep(x)
		}
		pass(5 * time.Second)
		b.Keep(hit())
		pass(5 * time.Second)
		l := b.Recent(time.Now(), board.MaxRecent).Latency
		for name, tt := range map[string]struct {
			got   board.Series
			truth float64
		}{
			"p50": {l.All.P50, 50}, "p95": {l.All.P95, 95}, "p99": {l.All.P99, 99},
			"upstream p50": {l.Upstream.P50, 5}, "upstream p95": {l.Upstream.P95, 9.5}, "upstream p99": {l.Upstream.P99, 9.9},
		} {
			if len(tt.got) != 2 || tt.got[0] < tt.truth || tt.got[0] > tt.truth*1.125 {
				t.Errorf("%s is %v ms, want %v or at most one eighth more", name, tt.got, tt.truth)
			}
		}
		if math.IsNaN(l.All.P50[1]) || !math.IsNaN(l.Upstream.P99[1]) {
			t.Errorf("a hit has the durations %v and upstream %v, want a value and none", l.All.P50[1], l.Upstream.P99[1])
		}
	})
}

func TestChartsLookBackAQuarterOfAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := board.New(board.Gauges{})
		if r := b.Recent(time.Now(), board.MaxRecent); r.HitRatio == nil || len(r.HitRatio) != 0 {
			t.Errorf("a new board has %v, want an empty series", r.HitRatio)
		}
		for i := range 200 { // intervals, each with one exchange more
			for range i {
				b.Keep(getKey())
			}
			pass(5 * time.Second)
		}
		forwarded := func(back time.Duration) board.Series {
			return b.Recent(time.Now(), back).Outcomes[record.OutcomeUpstreamOK]
		}
		if all := forwarded(board.MaxRecent); len(all) != 180 || all[0] != 4 || all[179] != 39.8 {
			t.Errorf("%d intervals, from %v to %v; want 180, from 20 exchanges to 199", len(all), all[0], all[len(all)-1])
		}
		same(t, "ten seconds", forwarded(10*time.Second), 39.6, 39.8)
		same(t, "six seconds", forwarded(6*time.Second), 39.6, 39.8)
		if got := len(forwarded(time.Hour)); got != 180 {
			t.Errorf("an hour back: %d intervals, want 180", got)
		}
		pass(time.Hour)
		for i, n := range forwarded(board.MaxRecent) {
			if n != 0 {
				t.Errorf("an idle hour later interval %d has %v", i, n)
			}
		}
	})
}

func TestChartsAreJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := board.New(board.Gauges{})
		b.Keep(hit())
		pass(5 * time.Second)
		b.Keep(refused("denied", 403))
		pass(5 * time.Second)
		text, err := json.Marshal(b.Recent(time.Now(), board.MaxRecent))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			`"step":5`, `"end":"2000-01-01T00:00:10`, `"hit":[0.2,0]`, `"local":[0,0]`, `"refused":{"denied":[0,0.2]}`, `"hitRatio":[1,null]`,
			`"upstream":{"p50":[null,null],"p95":[null,null],"p99":[null,null]}`,
		} {
			if !strings.Contains(string(text), want) {
				t.Errorf("no %s in %s", want, text)
			}
		}
	})
}

func TestLatencyTellsTheLastMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := board.NewLatency()
		if got := l.Quantiles(time.Now()); got != (board.Quantiles{}) {
			t.Errorf("a new Latency has %+v", got)
		}
		for range 90 { // seconds
			l.Add(10 * time.Millisecond)
			pass(time.Second)
		}
		if got := l.Quantiles(time.Now()); got.Count < 55 || got.Count > 60 || got.P50 < 10 || got.P99 > 11.25 {
			t.Errorf("after 90 seconds of 10 ms: %+v", got)
		}
		pass(time.Minute)
		if got := l.Quantiles(time.Now()); got.Count != 0 {
			t.Errorf("an idle minute later: %+v", got)
		}
	})
}
