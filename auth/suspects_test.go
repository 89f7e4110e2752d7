package auth

import (
	"strconv"
	"testing"
	"time"
)

// TestSuspectsAreForgotten after a minute at the earliest, after two at the latest.
func TestSuspectsAreForgotten(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	for _, noted := range []time.Duration{0, time.Second, 59 * time.Second} {
		var s suspects
		s.have("other", start)
		at := start.Add(noted)
		s.note("address", at)
		if !s.have("address", at.Add(suspectFor-1)) {
			t.Errorf("noted at %v, it was forgotten within a minute", noted)
		}
		if s.have("address", at.Add(2*suspectFor)) {
			t.Errorf("noted at %v, it was remembered for two minutes", noted)
		}
		if s.have("other", at) {
			t.Error("an address that was not noted is a suspect")
		}
	}
}

// TestSuspectsAreBounded however many addresses guess.
func TestSuspectsAreBounded(t *testing.T) {
	var s suspects
	start := time.Unix(1_800_000_000, 0)
	for i := range 4 * maxSuspects {
		s.note(strconv.Itoa(i), start.Add(time.Duration(i/maxSuspects)*suspectFor))
	}
	if n := len(s.now) + len(s.former); n > 2*maxSuspects {
		t.Errorf("%d addresses are remembered, want %d at most", n, 2*maxSuspects)
	}
	s = suspects{}
	for i := range 2 * maxSuspects {
		s.note(strconv.Itoa(i), start)
	}
	if len(s.now) != maxSuspects {
		t.Errorf("%d addresses of one minute are remembered, want %d", len(s.now), maxSuspects)
	}
}
