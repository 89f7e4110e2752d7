package stats

import "time"

// Period is the length of a bucket, the "period" of a query. Buckets begin on the hour,
// at midnight and on the first of the month, all in UTC.
type Period uint8

// The periods, finest first.
const (
	Hour Period = iota
	Day
	Month
	periods
)

// rule holds the vendor's rules for a period ("Usage Metrics Limits").
type rule struct {
	name      string // as in a query
	window    string // the longest time frame of one query, for messages
	days      int    // the same, to add to startDate: days
	months    int    // and calendar months
	retention int    // how long counts are kept, in months
}

var rules = [periods]rule{
	Hour:  {name: "1hour", window: "1 day", days: 1, retention: 3},
	Day:   {name: "1day", window: "1 month", months: 1, retention: 12},
	Month: {name: "1month", window: "2 months", months: 2, retention: 24},
}

// ParsePeriod parses the period of a query: "1hour", "1day" or "1month".
func ParsePeriod(name string) (p Period, ok bool) {
	for p := range periods {
		if rules[p].name == name {
			return p, true
		}
	}
	return 0, false
}

// String returns the period as queries write it.
func (p Period) String() string { return rules[p].name }

// Start returns the beginning, in UTC, of the bucket that t falls in.
func (p Period) Start(t time.Time) time.Time {
	t = t.UTC()
	switch p {
	case Hour:
		return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), 0, 0, 0, time.UTC)
	case Day:
		return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	default:
		return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
	}
}

// next returns the beginning of the bucket after the one that begins at start.
func (p Period) next(start time.Time) time.Time {
	switch p {
	case Hour:
		return start.Add(time.Hour)
	case Day:
		return start.AddDate(0, 0, 1)
	default:
		return start.AddDate(0, 1, 0)
	}
}

// buckets returns the beginnings of the bucket that contains start and of all buckets
// that begin after it and before end. A bucket that begins at end is not included.
func (p Period) buckets(start, end time.Time) []time.Time {
	all := []time.Time{p.Start(start)}
	for b := p.next(all[0]); b.Before(end); b = p.next(b) {
		all = append(all, b)
	}
	return all
}

// limit returns the latest end of a time frame that begins at start. A month is a
// calendar month in the offset of start, so that a client's own March is one month. If
// the month reached does not have the day, its last day is used (31 January + 1 month =
// 28 February), as in java.time, which the vendor's dates come from.
func (p Period) limit(start time.Time) time.Time {
	r := rules[p]
	if r.months == 0 {
		return start.Add(time.Duration(r.days) * 24 * time.Hour)
	}
	return addMonths(start, r.months)
}

// oldest returns the beginning of the oldest bucket that is still kept at now: the one
// that contains the instant one retention ago.
func (p Period) oldest(now time.Time) time.Time {
	return p.Start(addMonths(now.UTC(), -rules[p].retention))
}

// addMonths returns the same day n calendar months later, or the last day of that month
// if it does not have the day.
func addMonths(t time.Time, n int) time.Time {
	there := t.AddDate(0, n, 0)
	if there.Day() != t.Day() {
		there = there.AddDate(0, 0, -there.Day())
	}
	return there
}
