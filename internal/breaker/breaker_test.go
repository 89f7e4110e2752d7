package breaker

import (
	"maps"
	"testing"
	"time"
)

// TestBreaker runs one breaker with a minimum delay of 50 ms through its states: each
// row is an event at an instant, and the breaker's reaction to it.
func TestBreaker(t *testing.T) {
	type step struct {
		at      time.Duration
		do      string // "ask", "ok", "fail", "late", "old fail" and "old late" (of the round before), "probe ok", "probe fail", "probe late"
		verdict Verdict
		changed bool
	}
	ms := time.Millisecond
	lives := map[string][]step{
		"failures in a row open it, others do not": {
			{at: 0, do: "fail"}, {at: 0, do: "fail"}, {at: 0, do: "ok"},
			{at: 0, do: "fail"}, {at: 0, do: "fail"}, {at: 0, do: "ask", verdict: Pass},
			{at: 0, do: "fail", changed: true}, {at: 0, do: "ask", verdict: Refuse},
		},
		"one probe at a time, at doubling delays up to half a second": {
			{at: 0, do: "fail"}, {at: 0, do: "fail"}, {at: 0, do: "fail", changed: true},
			{at: 49 * ms, do: "ask", verdict: Refuse},
			{at: 50 * ms, do: "ask", verdict: Probe}, {at: 60 * ms, do: "ask", verdict: Refuse},
			{at: 100 * ms, do: "probe fail"}, {at: 199 * ms, do: "ask", verdict: Refuse},
			{at: 200 * ms, do: "ask", verdict: Probe}, {at: 200 * ms, do: "probe fail"},
			{at: 400 * ms, do: "ask", verdict: Probe}, {at: 400 * ms, do: "probe fail"},
			{at: 800 * ms, do: "ask", verdict: Probe}, {at: 800 * ms, do: "probe fail"},
			{at: 1299 * ms, do: "ask", verdict: Refuse},
			{at: 1300 * ms, do: "ask", verdict: Probe},
			{at: 1300 * ms, do: "probe ok", changed: true}, {at: 1300 * ms, do: "ask", verdict: Pass},
		},
		"a ping that succeeds closes it before a probe is due": {
			{at: 0, do: "fail"}, {at: 0, do: "fail"}, {at: 0, do: "fail", changed: true},
			{at: 1 * ms, do: "probe ok", changed: true}, {at: 1 * ms, do: "ask", verdict: Pass},
		},
		"a ping that fails counts like any call while closed": {
			{at: 0, do: "probe fail"}, {at: 0, do: "fail"}, {at: 0, do: "probe fail", changed: true},
		},
		"outcomes of calls begun before it opened or closed count for nothing": {
			{at: 0, do: "fail"}, {at: 0, do: "fail"}, {at: 0, do: "fail", changed: true},
			{at: 0, do: "old fail"}, {at: 50 * ms, do: "ask", verdict: Probe},
			{at: 50 * ms, do: "probe ok", changed: true},
			{at: 60 * ms, do: "old fail"}, {at: 60 * ms, do: "old fail"}, {at: 60 * ms, do: "old fail"},
			{at: 60 * ms, do: "ask", verdict: Pass},
		},
		"soon after an outage the delay goes on growing": {
			{at: 0, do: "fail"}, {at: 0, do: "fail"}, {at: 0, do: "fail", changed: true},
			{at: 50 * ms, do: "probe ok", changed: true},
			{at: 60 * ms, do: "fail"}, {at: 60 * ms, do: "fail"}, {at: 60 * ms, do: "fail", changed: true},
			{at: 159 * ms, do: "ask", verdict: Refuse}, {at: 160 * ms, do: "probe ok", changed: true},
			{at: 20 * time.Second, do: "fail"}, {at: 20 * time.Second, do: "fail"}, {at: 20 * time.Second, do: "fail", changed: true},
			{at: 20*time.Second + 50*ms, do: "ask", verdict: Probe},
		},
	}
	maps.Copy(lives, map[string][]step{
		"calls that are late at one moment do not open it, be they a thousand": {
			{at: 0, do: "late"}, {at: 0, do: "late"}, {at: 0, do: "late"}, {at: 0, do: "late"}, {at: 0, do: "probe late"}, {at: 499 * ms, do: "late"},
			{at: 499 * ms, do: "ask", verdict: Pass}, {at: 499 * ms, do: "ok"},
			{at: 600 * ms, do: "late"}, {at: 600 * ms, do: "late"}, {at: 1099 * ms, do: "late"}, {at: 1099 * ms, do: "ask", verdict: Pass},
		},
		"calls that are late for long open it, if there are enough": {
			{at: 0, do: "late"}, {at: 500 * ms, do: "late"}, {at: 600 * ms, do: "late", changed: true}, {at: 600 * ms, do: "ask", verdict: Refuse},
			{at: 650 * ms, do: "ask", verdict: Probe}, {at: 700 * ms, do: "probe late"}, {at: 799 * ms, do: "ask", verdict: Refuse},
			{at: 800 * ms, do: "probe ok", changed: true}, {at: 800 * ms, do: "old late"}, {at: 1300 * ms, do: "late"}, {at: 1400 * ms, do: "late"},
			{at: 1799 * ms, do: "late"}, {at: 1800 * ms, do: "probe late", changed: true},
		},
		"one answer in time begins it anew": {
			{at: 0, do: "late"}, {at: 400 * ms, do: "late"}, {at: 450 * ms, do: "probe ok"}, {at: 500 * ms, do: "late"}, {at: 900 * ms, do: "late"},
			{at: 999 * ms, do: "late"}, {at: 1000 * ms, do: "late", changed: true},
		},
		"calls that fail otherwise need no time, and count among the late": {
			{at: 0, do: "late"}, {at: 0, do: "late"}, {at: 0, do: "fail"}, {at: 0, do: "fail"}, {at: 0, do: "ask", verdict: Pass},
			{at: 0, do: "fail", changed: true},
			{at: 50 * ms, do: "probe ok", changed: true}, {at: 100 * ms, do: "late"}, {at: 200 * ms, do: "fail"}, {at: 600 * ms, do: "late", changed: true},
		},
	})
	for name, life := range lives {
		t.Run(name, func(t *testing.T) {
			b, start := New(Options{TripAfter: 3, TripOver: 500 * ms, MinDelay: 50 * ms, MaxDelay: 500 * ms, Calm: 10 * time.Second}), time.Now()
			for i, s := range life {
				now := start.Add(s.at)
				var verdict Verdict
				var changed bool
				switch s.do {
				case "ask":
					_, verdict = b.Admit(now)
				case "ok", "fail":
					changed = b.Settle(b.round, s.do == "ok", now)
				case "late":
					changed = b.Late(b.round, now)
				case "probe late":
					changed = b.ProbedLate(now)
				case "old fail":
					changed = b.Settle(b.round-1, false, now)
				case "old late":
					changed = b.Late(b.round-1, now)
				default:
					changed = b.Probed(s.do == "probe ok", now)
				}
				if verdict != s.verdict || changed != s.changed {
					t.Fatalf("step %d, %q at %v: verdict %v, changed %v; want %v, %v",
						i, s.do, s.at, verdict, changed, s.verdict, s.changed)
				}
			}
		})
	}
}

func TestRetryAfterSaysWhenAProbeMayBeDue(t *testing.T) {
	b, start := New(Options{TripAfter: 1, MinDelay: 2 * time.Second, MaxDelay: time.Second}), time.Now()
	want := func(at, wait time.Duration) {
		t.Helper()
		if got := b.RetryAfter(start.Add(at)); got != wait {
			t.Errorf("at %v: %v, want %v", at, got, wait)
		}
	}
	want(0, 0)
	b.Settle(0, false, start)
	want(0, time.Second) // MaxDelay bounds MinDelay
	want(600*time.Millisecond, 400*time.Millisecond)
	want(3*time.Second, 0)
	if _, v := b.Admit(start.Add(3 * time.Second)); v != Probe {
		t.Fatalf("verdict %v, want a probe", v)
	}
	want(3*time.Second, time.Second)
	b.Probed(true, start.Add(4*time.Second))
	want(4*time.Second, 0)
}
