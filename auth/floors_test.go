package auth

import (
	"encoding/binary"
	"testing"
	"time"
)

func numbered(n int) (h digest) {
	binary.BigEndian.PutUint64(h[:], uint64(n))
	return h
}

// TestFloorsForgetOnlyWhatIsOfNoUse: a floor lasts for as long as an older shared
// identity could be used, and older floors make room for new ones.
func TestFloorsForgetOnlyWhatIsOfNoUse(t *testing.T) {
	const life = time.Minute
	start := time.Unix(1_800_000_000, 0)
	f := floors{of: map[digest]time.Time{}, life: life}
	for n := range maxFloors {
		f.raise(numbered(n), start.Add(time.Duration(n%2)))
	}
	if len(f.of) != maxFloors || !f.all.IsZero() {
		t.Fatalf("%d floors of %d, all from %v", len(f.of), maxFloors, f.all)
	}
	now := start.Add(life + 1)
	f.raise(numbered(maxFloors), now)
	if want := maxFloors/2 + 1; len(f.of) != want || !f.all.IsZero() {
		t.Errorf("%d floors when half of them are over, want %d; all from %v, want never", len(f.of), want, f.all)
	}
	if !f.above(numbered(0), start) || f.above(numbered(1), start.Add(1)) || !f.above(numbered(1), start.Add(2)) {
		t.Error("a floor that is over holds, or one that is not over does not")
	}
}

// TestTooManyFloorsBecomeOne for every token, at the instant of the last.
func TestTooManyFloorsBecomeOne(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	f := floors{of: map[digest]time.Time{}, life: time.Minute}
	for n := range maxFloors {
		f.raise(numbered(n), start)
	}
	now := start.Add(time.Second)
	f.raise(numbered(maxFloors), now)
	if len(f.of) != 1 {
		t.Errorf("%d floors are kept, want the one of the last", len(f.of))
	}
	for _, n := range []int{0, maxFloors, -1} {
		if f.above(numbered(n), now) || !f.above(numbered(n), now.Add(1)) {
			t.Errorf("token %d: a yes counts that is no younger than %v, or none does", n, now)
		}
	}
}

// TestNoteForgetsWhatIsOver although no other method of suspects is called in between.
func TestNoteForgetsWhatIsOver(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	var s suspects
	s.have("other", start)
	s.note("first", start)
	s.note("second", start.Add(suspectFor))
	if _, ok := s.former["first"]; !ok || len(s.now) != 1 {
		t.Errorf("now %v, former %v; want the second, and the first", s.now, s.former)
	}
	s.note("third", start.Add(2*suspectFor))
	if s.have("first", start.Add(2*suspectFor)) || !s.have("second", start.Add(2*suspectFor)) {
		t.Errorf("now %v, former %v; want the third, and the second", s.now, s.former)
	}
}

// TestWeightGrowsWithEachText of a principal, by at least its bytes.
func TestWeightGrowsWithEachText(t *testing.T) {
	const long = 1000
	text := string(make([]byte, long))
	before := weigh(&Principal{})
	for name, p := range map[string]Principal{
		"plane": {Plane: text}, "client": {Client: text}, "user": {User: text}, "organization": {Organizations: []string{text}},
		"root": {Trees: []Organization{{Root: text}}}, "sub-organization": {Trees: []Organization{{Subs: []string{text}}}},
	} {
		if got := weigh(&p); got < before+long || got > before+long+100 {
			t.Errorf("%s of %d bytes: %d bytes more, want as many and the headers", name, long, got-before)
		}
	}
	if got := weigh(&Principal{Trees: make([]Organization, 10)}); got < before+10*48 {
		t.Errorf("ten empty trees weigh %d bytes", got-before)
	}
}

// TestClockIsReadFromBothNumbers of Redis's TIME.
func TestClockIsReadFromBothNumbers(t *testing.T) {
	if got, want := clock("1800000000", "250000"), time.Unix(1_800_000_000, 250_000_000); !got.Equal(want) {
		t.Errorf("%v, want %v", got, want)
	}
	for _, odd := range [][2]any{{"soon", "0"}, {"0", "soon"}, {nil, nil}} {
		if got := clock(odd[0], odd[1]); !got.IsZero() {
			t.Errorf("%v is the clock %v", odd, got)
		}
	}
}
