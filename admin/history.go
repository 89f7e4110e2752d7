package admin

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// HistoryQuery is a query for the statistics. An empty name selects all. The function
// that answers it validates which names need another one, and how long the time may be.
type HistoryQuery struct {
	Scope
	Period   string // "1hour", "1day", "1month"
	From, To time.Time
}

// Scope selects the counts: all, or those of a plane, an organization, an environment,
// a region or a store.
type Scope struct {
	Plane        string `json:"plane"`
	Organization string `json:"organization"`
	Environment  string `json:"environment"`
	Region       string `json:"region"`
	Store        string `json:"store"`
}

// History is the answer of /api/history.
type History struct {
	Buckets   []Bucket `json:"buckets"`   // the oldest first; those with no counts are included
	Children  []Child  `json:"children"`  // the level below the scope, the largest counts first
	Truncated bool     `json:"truncated"` // some counts or children are left out

	// Names contains the names of ids in Children and in the query, as far as a control
	// plane has given them.
	Names map[string]string `json:"names,omitempty"`
}

// Bucket contains the counts from its time to the time of the next bucket.
type Bucket struct {
	Time time.Time `json:"time"`
	Sums
}

// Child contains the counts of one organization, environment, region or store over the
// whole time.
type Child struct {
	Plane string `json:"plane"`
	Name  string `json:"name"`
	Sums
}

// Sums contains counts of Object Store operations, and as how many requests they are
// billed.
type Sums struct {
	Client        uint64 `json:"client"`        // answered to clients, including answers from the cache
	Upstream      uint64 `json:"upstream"`      // answered by Object Store, including requests of the gateway itself
	ClientUnits   uint64 `json:"clientUnits"`   // an estimate, for Client
	UpstreamUnits uint64 `json:"upstreamUnits"` // an estimate, for Upstream
}

// history serves /api/history from the statistics.
func (s *server) history(w http.ResponseWriter, r *http.Request) {
	q, err := readHistoryQuery(r.URL.RawQuery, time.Now())
	var h History
	if err == nil {
		h, err = s.History(r.Context(), q)
	}
	if e, ok := errors.AsType[*InputError](err); ok {
		badInput(w, e)
		return
	}
	switch {
	case err != nil && r.Context().Err() != nil: // the client has left
	case err != nil:
		s.Logger.Warn("history could not be read", "error", err)
		w.Header().Set("Retry-After", retryAfter(historyRetry))
		problem{
			Code: "statistics-unavailable", Status: http.StatusServiceUnavailable,
			Detail: "the statistics cannot be read now; the log contains the reason",
		}.write(w)
	default:
		// JSON has [], not null
		h.Buckets, h.Children = append([]Bucket{}, h.Buckets...), append([]Child{}, h.Children...)
		s.writeJSON(w, http.StatusOK, historyAnswer{q.Period, q.Scope, q.From, q.To, h})
	}
}

// historyRetry is the Retry-After of an answer when the statistics cannot be read.
const historyRetry = 5 * time.Second

// historyAnswer is a [History] together with its query.
type historyAnswer struct {
	Period string    `json:"period"`
	Scope  Scope     `json:"scope"`
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	History
}

// readHistoryQuery parses a query. The default time ends now and is the last day by the
// hour, the last 31 days by the day, or the last 12 months by the month.
func readHistoryQuery(raw string, now time.Time) (HistoryQuery, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return HistoryQuery{}, &InputError{"query", "is malformed"}
	}
	q, from, to := HistoryQuery{}, "", ""
	fields := map[string]*string{
		"plane": &q.Plane, "organization": &q.Organization, "environment": &q.Environment,
		"region": &q.Region, "store": &q.Store,
		"period": &q.Period, "from": &from, "to": &to,
	}
	for name, given := range values {
		field, known := fields[name]
		switch {
		case !known:
			return HistoryQuery{}, &InputError{name, "is not a known parameter"}
		case len(given) > 1:
			return HistoryQuery{}, &InputError{name, "is given more than once"}
		}
		*field = given[0]
	}
	q.Period = cmp.Or(q.Period, "1hour")
	if q.To, err = readInstant("to", to, now.UTC()); err != nil {
		return HistoryQuery{}, err
	}
	q.From, err = readInstant("from", from, q.To.Add(-defaultHistory(q.Period)))
	return q, err
}

// defaultHistory returns how far back a query without "from" reaches.
func defaultHistory(period string) time.Duration {
	const day = 24 * time.Hour
	switch period {
	case "1day":
		return 31 * day
	case "1month":
		return 365 * day
	}
	return day
}

// The range of years that a query may contain. One year more at either end can still be
// computed with and formatted as RFC 3339.
const (
	firstYear = 1970
	lastYear  = 9998
)

// readInstant parses an instant in RFC 3339 format. It returns fallback if text is
// empty.
func readInstant(name, text string, fallback time.Time) (time.Time, error) {
	if text == "" {
		return fallback, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, &InputError{name, "must be a time in RFC 3339 format, such as 2026-01-31T12:00:00Z"}
	}
	at = at.UTC()
	if at.Year() < firstYear || at.Year() > lastYear {
		return time.Time{}, &InputError{name, fmt.Sprintf("must be in the years %d to %d", firstYear, lastYear)}
	}
	return at, nil
}
