package emulator

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// series is the key under which requests are counted. Environment is empty for the list
// of regions, store for operations that do not concern a single store; those count only
// for the levels above.
type series struct{ plane, organization, environment, region, store string }

// counts are the Object Store requests answered 2xx, by series and hour. It is safe
// for concurrent use.
type counts struct {
	lag  time.Duration
	disk *disk

	mu     sync.Mutex                 // guards the fields below
	hours  map[series]map[int64]int64 // by the hour's start in Unix seconds
	recent []counted                  // not shown yet, the oldest first
	pruned time.Time
}

// counted are requests of one series and minute.
type counted struct {
	series series
	minute int64
	n      int64
}

// retention returns for how many months the counts of a period are kept (page "Object
// Store v2 REST APIs", "Usage Metrics Limits"), or 0 for an unknown period.
func retention(period string) int {
	return map[string]int{"1hour": 3, "1day": 12, "1month": 24}[period]
}

func newCounts(lag time.Duration, d *disk) *counts {
	return &counts{lag: lag, disk: d, hours: map[series]map[int64]int64{}}
}

// count counts one request.
func (s *counts) count(at place, r ref, now time.Time) {
	of := series{at.plane, r.organization, r.environment, at.region, r.store}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prune(now)
	minute := now.Truncate(time.Minute).Unix()
	if s.lag == 0 {
		s.add(of, minute, 1)
		return
	}
	for i := len(s.recent) - 1; i >= 0 && s.recent[i].minute == minute; i-- {
		if s.recent[i].series == of {
			s.recent[i].n++
			return
		}
	}
	s.recent = append(s.recent, counted{of, minute, 1})
}

// add counts n requests of a minute, visible to queries.
func (s *counts) add(of series, minute, n int64) {
	hour := time.Unix(minute, 0).Truncate(time.Hour).Unix()
	hours := s.hours[of]
	if hours == nil {
		hours = map[int64]int64{}
		s.hours[of] = hours
	}
	hours[hour] += n
	s.disk.keepCount(of, hour, hours[hour])
}

// keepCount keeps a count. The next change of data and close report its failure.
func (d *disk) keepCount(of series, hour, n int64) {
	if d == nil {
		return
	}
	parts := [5]string{of.plane, of.organization, of.environment, of.region, of.store}
	_ = d.write(change{bucket: countBucket, key: countKey(of, hour), value: record(countRecord{parts, hour, n})})
}

// show makes old enough counts visible.
func (s *counts) show(now time.Time) {
	for len(s.recent) > 0 && now.Sub(time.Unix(s.recent[0].minute, 0)) >= s.lag {
		first := s.recent[0]
		s.recent = s.recent[1:]
		s.add(first.series, first.minute, first.n)
	}
}

// prune drops, once a day, the counts that queries can no longer reach.
func (s *counts) prune(now time.Time) {
	if now.Sub(s.pruned) < 24*time.Hour {
		return
	}
	s.pruned = now
	oldest := addMonths(now, -retention("1month")-1).Unix()
	for of, hours := range s.hours {
		for hour := range hours {
			if hour < oldest {
				delete(hours, hour)
				s.disk.forgetCount(of, hour)
			}
		}
		if len(hours) == 0 {
			delete(s.hours, of)
		}
	}
}

func (d *disk) forgetCount(of series, hour int64) {
	_ = d.write(change{bucket: countBucket, key: countKey(of, hour)})
}

// each visits every count of the series for which match returns true.
func (s *counts) each(now time.Time, match func(series) bool, visit func(of series, hour time.Time, n int64)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.show(now)
	for of, hours := range s.hours {
		if !match(of) {
			continue
		}
		for hour, n := range hours {
			visit(of, time.Unix(hour, 0).UTC(), n)
		}
	}
}

// statsQuery is a query of the Stats API.
type statsQuery struct {
	organizations []string
	environment   string
	region        string
	store         string
	list          func(series) string // the requested list; nil: counts
	period        string
	first         time.Time // the start of the first bucket
	end           time.Time // no bucket begins here or later, except the first
	oldest        time.Time // earlier counts are dropped
}

// statsAnswer answers a request for the Stats API.
func (e *Emulator) statsAnswer(x *exchange) answer {
	a, err := e.statsResult(x)
	if err != nil {
		return e.objectStoreProblem(err)
	}
	return a
}

func (e *Emulator) statsResult(x *exchange) (answer, error) {
	if e.chosen.is(statsPlanes, "documented") && x.place.plane != "us" && x.place.plane != "eu" {
		return answer{}, problemf(http.StatusNotFound, "there is no Stats API in this control plane")
	}
	segments, err := decodeSegments(strings.TrimPrefix(x.place.path, "/api/v1/"))
	if err != nil {
		return answer{}, err
	}
	q, organization, ok := statsRoute(segments)
	if !ok {
		return answer{}, problemf(http.StatusNotFound,
			"The requested resource does not exist on this service: no such path")
	}
	if x.in.Method != http.MethodGet {
		return answer{}, problemf(http.StatusMethodNotAllowed, "%s is not a method of the Stats API", x.in.Method)
	}
	if err := x.authenticated(); err != nil {
		return answer{}, err
	}
	if _, wait := e.statsWindow.take(x.client); wait > 0 {
		return e.tooMany("client", wait), nil
	}
	if !e.directory.reaches(x.grant, organization) {
		return answer{}, e.foreign(organization)
	}
	if !slices.Contains(e.directory.scopes(x.grant), scopeMetrics) {
		return answer{}, problemf(http.StatusForbidden, "the token lacks the scope %s", scopeMetrics)
	}
	return e.answerStats(x, q, organization)
}

// answerStats reads the query of a path and answers it.
func (e *Emulator) answerStats(x *exchange, q statsQuery, organization string) (answer, error) {
	query, err := url.ParseQuery(x.rawQuery)
	if err != nil {
		return answer{}, problemf(http.StatusBadRequest, "the query is malformed")
	}
	now := e.clock.now()
	if err := q.window(query, now); err != nil {
		return answer{}, err
	}
	master, err := isMaster(query)
	if err != nil {
		return answer{}, err
	}
	q.organizations = []string{organization}
	if master && q.environment == "" && q.list == nil {
		if e.directory.orgs[organization].Parent != "" {
			return jsonAnswer(http.StatusOK, []bucketJSON{}), nil // "the endpoint returns no results"
		}
		q.organizations = append(q.organizations, e.directory.below(organization)...)
	}
	if q.list != nil {
		return jsonAnswer(http.StatusOK, e.statsNames(x.place.plane, q, now)), nil
	}
	return jsonAnswer(http.StatusOK, e.statsBuckets(x.place.plane, q, now)), nil
}

// statsRoute returns the query for the decoded segments of a path.
func statsRoute(segments []string) (q statsQuery, organization string, ok bool) {
	words := []string{"organizations", "environments", "regions", "stores"}
	names := [4]string{}
	for i, s := range segments {
		if i >= 2*len(words) || i%2 == 0 && s != words[i/2] || s == "" {
			return q, "", false
		}
		if i%2 == 1 {
			names[i/2] = s
		}
	}
	q.environment, q.region, q.store = names[1], names[2], names[3]
	switch len(segments) {
	case 3:
		q.list = func(s series) string { return s.environment }
	case 5:
		q.list = func(s series) string { return s.region }
	case 7:
		q.list = func(s series) string { return s.store }
	}
	return q, names[0], len(segments) >= 2
}

// isMaster reads the parameter of that name. The API description calls it required, the
// vendor's page omits it.
func isMaster(query url.Values) (bool, error) {
	switch query.Get("isMaster") {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	}
	return false, problemf(http.StatusBadRequest, "isMaster is neither true nor false")
}

// window reads startDate, endDate and period, all required.
func (q *statsQuery) window(query url.Values, now time.Time) error {
	q.period = query.Get("period")
	if retention(q.period) == 0 {
		return problemf(http.StatusBadRequest, "period is not one of 1hour, 1day, 1month")
	}
	start, err := instant(query, "startDate")
	if err != nil {
		return err
	}
	end, err := instant(query, "endDate")
	if err != nil {
		return err
	}
	if end.Before(start) {
		return problemf(http.StatusBadRequest, "endDate is before startDate")
	}
	furthest, words := longest(q.period, start)
	if end.After(furthest) {
		return problemf(http.StatusBadRequest,
			"from startDate to endDate is more than %s, the most for period=%s", words, q.period)
	}
	q.first, q.end = bucket(q.period, start), end
	q.oldest = addMonths(now, -retention(q.period))
	return nil
}

// longest returns the latest end of a query of that period from start (page "Object
// Store v2 REST APIs", "Usage Metrics Limits"): months are the calendar's.
func longest(period string, start time.Time) (furthest time.Time, words string) {
	switch period {
	case "1hour":
		return start.Add(24 * time.Hour), "1 day"
	case "1day":
		return addMonths(start, 1), "1 month"
	}
	return addMonths(start, 2), "2 months"
}

// addMonths adds calendar months; a day that the month does not have becomes its last.
func addMonths(t time.Time, months int) time.Time {
	moved := t.AddDate(0, months, 0)
	if moved.Day() != t.Day() {
		moved = moved.AddDate(0, 0, -moved.Day())
	}
	return moved
}

// instant reads a date-time with an offset, as Java's OffsetDateTime does: seconds may
// be omitted. A + that is not encoded is a space, and refused.
func instant(query url.Values, name string) (time.Time, error) {
	text := query.Get(name)
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00"} {
		if t, err := time.Parse(layout, text); err == nil && t.UTC().Year() >= 1970 && t.UTC().Year() < 10000 {
			return t.UTC(), nil
		}
	}
	return time.Time{}, problemf(http.StatusBadRequest,
		"%s is missing or not a date-time such as 2024-08-11T17:51:54.000Z", name)
}

// bucket returns the UTC start of the period that t is in.
func bucket(period string, t time.Time) time.Time {
	switch period {
	case "1hour":
		return t.Truncate(time.Hour)
	case "1day":
		return t.Truncate(24 * time.Hour)
	}
	return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
}

// after returns the start of the period that follows the one starting at t.
func after(period string, t time.Time) time.Time {
	switch period {
	case "1hour":
		return t.Add(time.Hour)
	case "1day":
		return t.AddDate(0, 0, 1)
	}
	return t.AddDate(0, 1, 0)
}

type bucketJSON struct {
	TimeStamp           time.Time `json:"timeStamp"`
	ObjectStoreRequests int64     `json:"objectStoreRequestCount"`
}

// matches reports whether the query is about a series of the plane.
func (q statsQuery) matches(planeID string) func(series) bool {
	return func(s series) bool {
		return s.plane == planeID && slices.Contains(q.organizations, s.organization) &&
			(q.environment == "" || q.environment == s.environment) &&
			(q.region == "" || q.region == s.region) &&
			(q.store == "" || q.store == s.store)
	}
}

// covers reports whether an hour is in the requested buckets and not yet dropped.
func (q statsQuery) covers(hour time.Time) bool {
	b := bucket(q.period, hour)
	return q.inRange(b) && !b.Before(bucket(q.period, q.oldest))
}

// inRange reports whether the bucket that begins at b is in the range: the one that
// contains startDate, and those that begin after it and before endDate.
func (q statsQuery) inRange(b time.Time) bool {
	return b.Equal(q.first) || b.After(q.first) && b.Before(q.end)
}

// statsBuckets returns one count per period, including zeros.
func (e *Emulator) statsBuckets(planeID string, q statsQuery, now time.Time) []bucketJSON {
	sums := map[time.Time]int64{}
	e.stats.each(now, q.matches(planeID), func(_ series, hour time.Time, n int64) {
		if q.covers(hour) {
			sums[bucket(q.period, hour)] += n
		}
	})
	list := []bucketJSON{}
	for t := q.first; q.inRange(t); t = after(q.period, t) {
		list = append(list, bucketJSON{t, sums[t]})
	}
	return list
}

// statsNames returns the environments, regions or stores with data, deleted ones too.
func (e *Emulator) statsNames(planeID string, q statsQuery, now time.Time) []string {
	names := map[string]bool{}
	e.stats.each(now, q.matches(planeID), func(of series, hour time.Time, _ int64) {
		if name := q.list(of); name != "" && q.covers(hour) {
			names[name] = true
		}
	})
	return append([]string{}, slices.Sorted(maps.Keys(names))...) // [] if there are none
}
