package reconcile

import (
	"fmt"
	"net/url"
	"time"

	"osgate/internal/calendar"
)

// Period is the length of a bucket, as in the Stats API's parameter "period".
type Period string

// The periods.
const (
	Hour  Period = "1hour"
	Day   Period = "1day"
	Month Period = "1month"
)

// unit returns the calendar unit of a bucket.
func (p Period) unit() calendar.Unit {
	switch p {
	case Hour:
		return calendar.Hour
	case Day:
		return calendar.Day
	default:
		return calendar.Month
	}
}

// reach returns the latest end of a window that begins at start, within the limits of
// one query ("Usage Metrics Limits": a day of hours, a month of days, two months of
// months). Days go to the end of their calendar month, which is always within the
// limit.
func (p Period) reach(start time.Time) time.Time {
	switch p {
	case Hour:
		return start.Add(24 * time.Hour)
	case Day:
		return calendar.Month.Next(calendar.Month.Start(start))
	default:
		return start.AddDate(0, 2, 0)
	}
}

// kept returns the number of months for which both sides keep the counts of a period
// ("Usage Metrics Limits").
func (p Period) kept() int {
	switch p {
	case Hour:
		return 3
	case Day:
		return 12
	default:
		return 24
	}
}

// oldest returns the beginning of the oldest bucket that both sides still have at now:
// the one that contains the instant one retention ago.
func (p Period) oldest(now time.Time) time.Time { return p.unit().Oldest(now, p.kept()) }

// window is a time frame of whole buckets within the limits of one query: from start,
// before end.
type window struct{ start, end time.Time }

func (w window) holds(t time.Time) bool { return !t.Before(w.start) && t.Before(w.end) }

// query returns the query parameters for w. Its endDate is the last millisecond of the
// last bucket, which is in that bucket whether or not a server includes a bucket that
// begins at endDate. The vendor's description requires isMaster.
func (w window) query(p Period) url.Values {
	const layout = "2006-01-02T15:04:05.000Z"
	return url.Values{
		"startDate": {w.start.Format(layout)},
		"endDate":   {w.end.Add(-time.Millisecond).Format(layout)},
		"period":    {string(p)},
		"isMaster":  {"false"},
	}
}

// cut extends a time frame to whole buckets and cuts it into consecutive windows. A
// bucket that begins at to is not included, unless from is the same instant. A time
// that neither side keeps any more at now is an error: the counts would be equal and
// look like a proof.
func cut(p Period, from, to, now time.Time) ([]window, error) {
	switch {
	case p != Hour && p != Day && p != Month:
		return nil, fmt.Errorf("%w: the period must be %s, %s or %s", ErrUsage, Hour, Day, Month)
	case from.IsZero() || to.IsZero():
		return nil, fmt.Errorf("%w: from and to are needed", ErrUsage)
	case to.Before(from):
		return nil, fmt.Errorf("%w: to is before from", ErrUsage)
	case from.After(now):
		return nil, fmt.Errorf("%w: from is in the future", ErrUsage)
	case p.unit().Start(from).Before(p.oldest(now)):
		return nil, fmt.Errorf("%w: with period %s counts are kept for %d months: from may be %s at the earliest",
			ErrUsage, p, p.kept(), p.oldest(now).Format(time.RFC3339))
	}
	end := p.unit().Start(to)
	if end.Before(to) || !end.After(from) {
		end = p.unit().Next(end)
	}
	var all []window
	for at := p.unit().Start(from); at.Before(end); {
		if len(all) == maxWindows {
			return nil, fmt.Errorf("%w: this time frame takes more than %d requests for each store; a longer period takes fewer", ErrUsage, maxWindows)
		}
		w := window{start: at, end: p.reach(at)}
		if w.end.After(end) {
			w.end = end
		}
		all = append(all, w)
		at = w.end
	}
	return all, nil
}
