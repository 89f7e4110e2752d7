package stats

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"osgate/objectstore"
)

// The query parameters of the vendor's description, and three of osgate: source, unit
// and format. Others are ignored, because the vendor's own clients send isMaster where
// it has no meaning.
const (
	paramStart  = "startDate"
	paramEnd    = "endDate"
	paramPeriod = "period"
	paramMaster = "isMaster"
	paramSource = "source"
	paramUnit   = "unit"
	paramFormat = "format"
)

// query is a parsed raw query.
type query struct {
	start, end time.Time // in the offsets given
	period     Period
	source     Measure // Client or Upstream
	billed     bool    // in billed units
	master     bool    // a root organization together with its sub-organizations
	csv        bool
}

// parseQuery parses a raw query. Every error is a *[objectstore.QueryError].
func parseQuery(raw string) (query, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return query{}, &objectstore.QueryError{Reason: "is malformed: percent-encode ';' and '%'"}
	}
	for _, name := range []string{paramStart, paramEnd, paramPeriod, paramMaster, paramSource, paramUnit, paramFormat} {
		if len(values[name]) > 1 {
			return query{}, &objectstore.QueryError{Parameter: name, Reason: "is given more than once"}
		}
	}
	var q query
	if q.start, err = parseDate(paramStart, values.Get(paramStart)); err != nil {
		return query{}, err
	}
	if q.end, err = parseDate(paramEnd, values.Get(paramEnd)); err != nil {
		return query{}, err
	}
	if q.period, err = parsePeriod(values.Get(paramPeriod)); err != nil {
		return query{}, err
	}
	if q.master, err = parseMaster(values.Get(paramMaster)); err != nil {
		return query{}, err
	}
	if q.source, err = parseSource(values.Get(paramSource)); err != nil {
		return query{}, err
	}
	if q.billed, err = parseChoice(values.Get(paramUnit), paramUnit, "requests", "billing"); err != nil {
		return query{}, err
	}
	if q.csv, err = parseChoice(values.Get(paramFormat), paramFormat, "json", "csv"); err != nil {
		return query{}, err
	}
	return q, q.checkWindow()
}

// measure returns the measure that q requests.
func (q query) measure() Measure {
	if q.billed {
		return q.source.units()
	}
	return q.source
}

// units returns the measure of the same operations in billed units.
func (m Measure) units() Measure { return m%ClientUnits + ClientUnits }

// parseChoice parses a parameter with two values, and reports whether it is the one
// that is not the default.
func parseChoice(value, name, standard, other string) (bool, error) {
	switch value {
	case "", standard:
		return false, nil
	case other:
		return true, nil
	}
	return false, &objectstore.QueryError{Parameter: name, Reason: "must be " + standard + " or " + other}
}

// dateLayouts are the forms of an ISO 8601 date-time with offset that java.time's
// OffsetDateTime parses: seconds and their fraction may be missing.
var dateLayouts = [...]string{time.RFC3339Nano, "2006-01-02T15:04Z07:00"}

// parseDate parses an ISO date-time with offset. A "+" that was not percent-encoded has
// become a space, which is read as "+".
func parseDate(name, value string) (time.Time, error) {
	const example = "an ISO 8601 date-time with offset, such as 2024-08-11T17:51:54.000Z, percent-encoded"
	if value == "" {
		return time.Time{}, &objectstore.QueryError{Parameter: name, Reason: "is required: " + example}
	}
	value = strings.ToUpper(strings.Replace(value, " ", "+", 1))
	for _, layout := range dateLayouts {
		// Not Local, whose days differ in length.
		if t, err := time.ParseInLocation(layout, value, time.UTC); err == nil {
			return t, nil
		}
	}
	return time.Time{}, &objectstore.QueryError{Parameter: name, Reason: "is not " + example}
}

func parsePeriod(value string) (Period, error) {
	if value == "" {
		return 0, &objectstore.QueryError{Parameter: paramPeriod, Reason: "is required: 1hour, 1day or 1month"}
	}
	p, ok := ParsePeriod(value)
	if !ok {
		return 0, &objectstore.QueryError{Parameter: paramPeriod, Reason: "must be 1hour, 1day or 1month"}
	}
	return p, nil
}

func parseMaster(value string) (bool, error) {
	switch strings.ToLower(value) {
	case "true":
		return true, nil
	case "", "false":
		return false, nil
	}
	return false, &objectstore.QueryError{Parameter: paramMaster, Reason: "must be true or false"}
}

func parseSource(value string) (Measure, error) {
	switch value {
	case "", Client.String():
		return Client, nil
	case Upstream.String():
		return Upstream, nil
	}
	return 0, &objectstore.QueryError{
		Parameter: paramSource,
		Reason:    "must be client (all operations) or upstream (those that reached Object Store)",
	}
}

// checkWindow checks the time frame against the vendor's limits.
func (q query) checkWindow() error {
	if q.end.Before(q.start) {
		return &objectstore.QueryError{Parameter: paramEnd, Reason: "is before startDate"}
	}
	if limit := q.period.limit(q.start); q.end.After(limit) {
		return &objectstore.QueryError{Parameter: paramEnd, Reason: fmt.Sprintf(
			"is too late: with period=%s at most %s after startDate is allowed, until %s; requested was %s, until %s",
			q.period, rules[q.period].window, limit.Format(time.RFC3339Nano),
			span(q.end.Sub(q.start)), q.end.Format(time.RFC3339Nano))}
	}
	return nil
}

// span returns a duration in days and the rest of the last day: "31 days and 6h8m6s".
func span(d time.Duration) string {
	days, rest := d/day, d%day
	text := fmt.Sprintf("%d days", days)
	switch {
	case days == 0:
		return rest.String()
	case days == 1:
		text = "1 day"
	}
	if rest == 0 {
		return text
	}
	return text + " and " + rest.String()
}

// starts returns the beginnings of the buckets in the query's time frame.
func (q query) starts() []time.Time { return q.period.buckets(q.start, q.end) }
