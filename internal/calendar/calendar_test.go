package calendar_test

import (
	"testing"
	"time"

	"osgate/internal/calendar"
)

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}

// TestABucketBeginsInUTC for a time with any offset.
func TestABucketBeginsInUTC(t *testing.T) {
	const moment = "2026-03-01T00:30:45+02:00" // 28 February 22:30:45 in UTC
	for _, c := range []struct {
		unit        calendar.Unit
		start, next string
	}{
		{calendar.Hour, "2026-02-28T22:00:00Z", "2026-02-28T23:00:00Z"},
		{calendar.Day, "2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z"},
		{calendar.Month, "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"},
	} {
		start := c.unit.Start(at(moment))
		if !start.Equal(at(c.start)) || start.Location() != time.UTC {
			t.Errorf("unit %d starts at %s, want %s", c.unit, start, c.start)
		}
		if next := c.unit.Next(start); !next.Equal(at(c.next)) {
			t.Errorf("unit %d: the next bucket begins at %s, want %s", c.unit, next, c.next)
		}
	}
}

// TestAMonthWithoutTheDayEndsOnItsLastDay.
func TestAMonthWithoutTheDayEndsOnItsLastDay(t *testing.T) {
	for _, c := range []struct {
		from string
		n    int
		want string
	}{
		{"2026-01-31T10:00:00Z", 1, "2026-02-28T10:00:00Z"},
		{"2028-01-31T10:00:00Z", 1, "2028-02-29T10:00:00Z"},
		{"2026-05-31T10:00:00Z", -3, "2026-02-28T10:00:00Z"},
		{"2026-01-15T10:00:00Z", 12, "2027-01-15T10:00:00Z"},
		{"2026-12-31T10:00:00Z", 2, "2027-02-28T10:00:00Z"},
	} {
		if got := calendar.AddMonths(at(c.from), c.n); !got.Equal(at(c.want)) {
			t.Errorf("%s + %d months = %s, want %s", c.from, c.n, got, c.want)
		}
	}
}

// TestTheOldestBucketContainsTheEndOfRetention.
func TestTheOldestBucketContainsTheEndOfRetention(t *testing.T) {
	now := at("2026-05-31T10:20:00Z")
	for unit, want := range map[calendar.Unit]string{
		calendar.Hour: "2026-02-28T10:00:00Z", calendar.Day: "2026-02-28T00:00:00Z", calendar.Month: "2026-02-01T00:00:00Z",
	} {
		if got := unit.Oldest(now, 3); !got.Equal(at(want)) {
			t.Errorf("unit %d: oldest is %s, want %s", unit, got, want)
		}
	}
}
