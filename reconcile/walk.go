package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"osgate/internal/calendar"
)

// place is a store or, with store empty, a region, with region empty an environment,
// with environment empty the organization.
type place struct{ environment, region, store string }

// words are the names of the levels below an organization in paths.
var words = [...]string{"environments", "regions", "stores"}

// names returns the names of p from the environment down.
func (p place) names() []string {
	names := []string{p.environment, p.region, p.store}
	for i, name := range names {
		if name == "" {
			return names[:i]
		}
	}
	return names
}

// around returns the place directly above p.
func (p place) around() (place, bool) {
	switch {
	case p.store != "":
		p.store = ""
	case p.region != "":
		p.region = ""
	default:
		return place{}, p.environment != ""
	}
	return p, true
}

// child returns the place with the given name directly below p.
func (p place) child(name string) place {
	switch {
	case p.environment == "":
		p.environment = name
	case p.region == "":
		p.region = name
	default:
		p.store = name
	}
	return p
}

// walk reads all counts of one side.
type walk struct {
	source       Source
	windows      []window
	period       Period
	organization string
	atOnce       int

	mu      sync.Mutex // guards counted
	counted map[place]int64
}

// run reads level by level, with a bounded number of concurrent requests.
func (w *walk) run(ctx context.Context) error {
	level := []place{{}}
	for depth := 0; len(level) > 0; depth++ {
		below := make([][]place, len(level))
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(w.atOnce)
		for i, p := range level {
			g.Go(func() (err error) {
				if err = w.count(ctx, p); err == nil && depth < len(words) {
					below[i], err = w.list(ctx, p)
				}
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
		level = level[:0:0]
		for _, places := range below {
			level = append(level, places...)
		}
	}
	return nil
}

// path returns the path of p below /api/v1.
func (w *walk) path(p place) string {
	var b strings.Builder
	b.WriteString("organizations/" + url.PathEscape(w.organization))
	for i, name := range p.names() {
		b.WriteString("/" + words[i] + "/" + url.PathEscape(name))
	}
	return b.String()
}

// point is one bucket of an answer.
type point struct {
	Time  time.Time `json:"timeStamp"`
	Count int64     `json:"objectStoreRequestCount"`
}

// count adds up the counts of p. It skips buckets outside the requested time frame,
// which are in the next answer.
func (w *walk) count(ctx context.Context, p place) error {
	total := int64(0)
	for _, win := range w.windows {
		var points []point
		if err := w.get(ctx, w.path(p), win, &points); err != nil {
			return err
		}
		for _, point := range points {
			if point.Count < 0 {
				return fmt.Errorf("reading %s: a count is negative", w.path(p))
			}
			if win.holds(w.period.unit().Start(point.Time)) {
				total += point.Count
			}
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counted[p] = total
	return nil
}

// list returns the places directly below p with counts in any of the windows.
func (w *walk) list(ctx context.Context, p place) ([]place, error) {
	path := w.path(p) + "/" + words[len(p.names())]
	seen := map[string]bool{"": true}
	var below []place
	for _, win := range w.windows {
		var names []string
		if err := w.get(ctx, path, win, &names); err != nil {
			return nil, err
		}
		for _, name := range names {
			if !seen[name] {
				seen[name] = true
				below = append(below, p.child(name))
			}
		}
	}
	return below, nil
}

// get requests path for one window and decodes the answer into v.
func (w *walk) get(ctx context.Context, path string, win window, v any) error {
	body, err := w.source.Get(ctx, path, win.query(w.period))
	if err != nil {
		return fmt.Errorf("requesting %s: %w", path, err)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("reading %s: %w", path, plain(err))
	}
	return nil
}

// plain removes quoted input from a JSON error.
func plain(err error) error {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("malformed JSON at byte %d", syntax.Offset)
	}
	return errors.New("the answer does not have the form of the Stats API")
}

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
