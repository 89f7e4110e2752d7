package seal_test

import (
	"testing"
	"time"

	"osgate/internal/seal"
)

func TestIssueAgesByTheClockOfThePlaceWithinTheSkewOfProcesses(t *testing.T) {
	placed, made := time.Unix(1000, 0), time.Unix(900_000, 0) // the clocks of place and process need not agree
	i := seal.Issue{Placed: placed, Made: made, Life: 10 * time.Minute}
	const minute, skew = time.Minute, seal.MaxSkew
	for name, tt := range map[string]struct {
		place, own time.Duration // since it was issued
		want       time.Duration
		ok         bool
	}{
		"at once":                             {0, 0, 0, true},
		"later":                               {5 * minute, 5 * minute, 5 * minute, true},
		"a process whose clock is behind":     {5 * minute, 5*minute - skew, 5 * minute, true},
		"a process whose clock is ahead":      {5 * minute, 5*minute + skew, 5 * minute, true},
		"a process whose clock is far ahead":  {5 * minute, 8 * minute, 7 * minute, true},
		"at its end by the place":             {10 * minute, 10 * minute, 10 * minute, false},
		"a place whose clock stands still":    {0, 11*minute - 1, 10*minute - 1, true},
		"and so past its end and the skew":    {0, 11 * minute, 10 * minute, false},
		"a place whose clock went backwards":  {-1, 0, 0, false},
		"made in the future of this process":  {0, -skew - 1, 0, false},
		"made at the edge of what may differ": {0, -skew, 0, true},
	} {
		age, ok := i.Age(placed.Add(tt.place), made.Add(tt.own))
		if ok != tt.ok || ok && age != tt.want {
			t.Errorf("%s: %v, %v; want %v, %v", name, age, ok, tt.want, tt.ok)
		}
	}
}

func TestIssueWithoutLifeNeverCounts(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, i := range []seal.Issue{{}, {Placed: now, Made: now}, {Placed: now, Made: now, Life: -1}} {
		if age, ok := i.Age(now, now); ok {
			t.Errorf("%+v counts at the age of %v", i, age)
		}
	}
}
