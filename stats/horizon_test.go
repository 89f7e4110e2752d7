package stats

import (
	"testing"
	"time"
)

// TestAHorizonMovesByAStepAtMost applies one batch after the other: by how much each is
// ahead of the hour of the first, and where the horizon is afterwards.
func TestAHorizonMovesByAStepAtMost(t *testing.T) {
	t.Parallel()
	const day, hour = 24 * time.Hour, time.Hour
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	type batch struct{ ahead, want time.Duration }
	for name, batches := range map[string][]batch{
		"the same hour":                       {{0, 0}, {0, 0}},
		"an hour before":                      {{-hour, 0}},
		"an hour ahead":                       {{hour, hour}, {0, hour}},
		"a step ahead":                        {{day, day}},
		"a step and an hour ahead":            {{day + hour, day}},
		"far ahead, time and again":           {{100 * day, day}, {100 * day, day}, {100 * day, day}},
		"far ahead, less each time":           {{100 * day, day}, {99 * day, day}},
		"far ahead, an hour later each time":  {{100 * day, day}, {100*day + hour, 2 * day}, {100*day + 2*hour, 3 * day}},
		"far ahead, right, far ahead":         {{100 * day, day}, {day, day}, {100 * day, 2 * day}},
		"far ahead, a step, far ahead":        {{100 * day, day}, {2 * day, 2 * day}, {100 * day, 3 * day}},
		"far ahead, then what is right again": {{100 * day, day}, {hour, day}, {day + hour, day + hour}},
	} {
		var h horizon
		if !h.advance(start) || !h.at.Equal(start) {
			t.Fatalf("%s: at %v after the first batch, want its hour", name, h.at)
		}
		for i, b := range batches {
			before := h.at
			if moved := h.advance(start.Add(b.ahead)); !h.at.Equal(start.Add(b.want)) || moved != !before.Equal(h.at) {
				t.Errorf("%s: batch %d moves it (%t) to %v, want %v", name, i, moved, h.at.Sub(start), b.want)
			}
		}
	}
}
