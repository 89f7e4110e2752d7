// Package calendar has the calendar of usage metrics: hours, days and months in UTC,
// and months that are added to a date.
package calendar

import "time"

// A Unit is the length of a bucket. Buckets begin on the hour, at midnight and on the
// first of the month, all in UTC.
type Unit uint8

// The units, shortest first.
const (
	Hour Unit = iota
	Day
	Month
)

// Start returns the beginning, in UTC, of the bucket that t falls in.
func (u Unit) Start(t time.Time) time.Time {
	t = t.UTC()
	switch u {
	case Hour:
		return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), 0, 0, 0, time.UTC)
	case Day:
		return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	default:
		return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
	}
}

// Next returns the beginning of the bucket after the one that begins at start.
func (u Unit) Next(start time.Time) time.Time {
	switch u {
	case Hour:
		return start.Add(time.Hour)
	case Day:
		return start.AddDate(0, 0, 1)
	default:
		return start.AddDate(0, 1, 0)
	}
}

// Oldest returns the beginning of the bucket that contains the instant the given number
// of months before now.
func (u Unit) Oldest(now time.Time, months int) time.Time {
	return u.Start(AddMonths(now.UTC(), -months))
}

// AddMonths returns the same day n calendar months later, or the last day of that month
// if it does not have the day (31 January + 1 month = 28 February), as in java.time,
// which the vendor's dates come from. A negative n goes back.
func AddMonths(t time.Time, n int) time.Time {
	there := t.AddDate(0, n, 0)
	if there.Day() != t.Day() {
		there = there.AddDate(0, 0, -there.Day())
	}
	return there
}
