package stats

import (
	"time"

	"osgate/internal/calendar"
)

// Period is the length of a bucket, the "period" of a query. Buckets begin on the hour,
// at midnight and on the first of the month, all in UTC.
type Period uint8

// The periods, finest first.
const (
	Hour    = Period(calendar.Hour)
	Day     = Period(calendar.Day)
	Month   = Period(calendar.Month)
	periods = Month + 1
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

// unit returns the calendar unit of a bucket.
func (p Period) unit() calendar.Unit { return calendar.Unit(p) }

// Start returns the beginning, in UTC, of the bucket that t falls in.
func (p Period) Start(t time.Time) time.Time { return p.unit().Start(t) }

// next returns the beginning of the bucket after the one that begins at start.
func (p Period) next(start time.Time) time.Time { return p.unit().Next(start) }

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
// calendar month in the offset of start, so that a client's own March is one month
// ([calendar.AddMonths]).
func (p Period) limit(start time.Time) time.Time {
	r := rules[p]
	if r.months == 0 {
		return start.Add(time.Duration(r.days) * 24 * time.Hour)
	}
	return calendar.AddMonths(start, r.months)
}

// oldest returns the beginning of the oldest bucket that is still kept at now: the one
// that contains the instant one retention ago.
func (p Period) oldest(now time.Time) time.Time {
	return p.unit().Oldest(now, rules[p].retention)
}
