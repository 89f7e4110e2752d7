package httpcache

import (
	"net/http"
	"strings"
	"time"

	"osgate/record"
)

// Control contains the directives of an answer: which caches may store it, and how long
// it is fresh.
type Control struct {
	NoStore, Public, MustUnderstand bool
	MustRevalidate, ProxyRevalidate bool
	NoCache, Private                Qualified
	HasLifetime, SharedLifetime     bool // SharedLifetime: there was an s-maxage
	Lifetime                        time.Duration
	WhileRevalidate, IfError        Span // RFC 5861; 0 if the value cannot be parsed
}

// NeverStale reports whether upstream forbids a shared cache to serve the answer when
// it is no longer fresh (RFC 9111 section 4.2.4).
func (c *Control) NeverStale() bool {
	return c.MustRevalidate || c.ProxyRevalidate || c.SharedLifetime || c.NoCache.Whole
}

// Qualified is a directive that may name the fields that it applies to. A cache may
// apply both forms to the whole answer (RFC 9111 sections 5.2.2.4 and 5.2.2.7).
type Qualified struct {
	Present bool
	Whole   bool     // without names, or with names that cannot be parsed
	Fields  []string // the names
}

func (q *Qualified) add(argument string) {
	q.Present = true
	for name := range directives([]string{argument}) { // a list of field names has the same syntax
		if record.IsToken(name) {
			q.Fields = append(q.Fields, name)
		} else {
			q.Whole = true
		}
	}
	q.Whole = q.Whole || len(q.Fields) == 0
}

// ControlOf parses the directives in an answer's header. Expires counts if Cache-Control
// states no lifetime (RFC 9111 section 4.2.1).
func ControlOf(h http.Header) (s Control) {
	var maxAge, sharedAge Span
	for name, argument := range directives(h["Cache-Control"]) {
		switch name {
		case "no-store":
			s.NoStore = true
		case "no-cache":
			s.NoCache.add(argument)
		case "private":
			s.Private.add(argument)
		case "public":
			s.Public = true
		case "must-understand":
			s.MustUnderstand = true
		case "must-revalidate":
			s.MustRevalidate = true
		case "proxy-revalidate":
			s.ProxyRevalidate = true
		case "max-age":
			maxAge.add(argument)
		case "s-maxage":
			sharedAge.add(argument)
		case "stale-while-revalidate":
			s.WhileRevalidate.add(argument)
		case "stale-if-error":
			s.IfError.add(argument)
		}
	}
	switch {
	case sharedAge.Present:
		s.HasLifetime, s.SharedLifetime, s.Lifetime = true, true, sharedAge.Length
	case maxAge.Present:
		s.HasLifetime, s.Lifetime = true, maxAge.Length
	case len(h["Expires"]) > 0:
		s.HasLifetime, s.Lifetime = true, expiresIn(h)
	}
	return s
}

// Span is a directive with a number of seconds. It may occur twice: the smallest value
// counts, and a value that cannot be parsed is 0 (RFC 9111 section 4.2.1).
type Span struct {
	Present bool
	Length  time.Duration
}

func (s *Span) add(argument string) {
	d, _ := deltaSeconds(argument)
	if !s.Present || d < s.Length {
		s.Length = d
	}
	s.Present = true
}

// expiresIn returns Expires minus Date (negative: expired). It returns 0 if either
// cannot be parsed: an invalid Expires is in the past (RFC 9111 section 5.3), and
// without upstream's Date there is no clock to compare it with.
func expiresIn(h http.Header) time.Duration {
	expires, ok := expiryDate(h["Expires"])
	if !ok {
		return 0
	}
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return 0
	}
	return expires.Sub(date)
}

// expiryDate parses a single date in one of the forms of RFC 9110 section 5.6.7.
// [http.ParseTime] accepts more spaces and digits than these forms. The weekday is
// ignored.
func expiryDate(lines []string) (time.Time, bool) {
	if len(lines) != 1 {
		return time.Time{}, false
	}
	date, err := http.ParseTime(lines[0])
	if err != nil {
		return time.Time{}, false
	}
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for _, form := range []string{http.TimeFormat, time.RFC850, time.ANSIC} {
		if strings.EqualFold(strings.TrimLeft(date.Format(form), letters), strings.TrimLeft(lines[0], letters)) {
			return date, true
		}
	}
	return time.Time{}, false
}

// AgeOf returns the Age that upstream sent, the first of several (RFC 9111 section
// 5.1), or 0 if it cannot be parsed. For operations, Date is not compared with our
// clock, because a wrong clock must not turn the cache off (RFC 9111 section 4.2.3
// allows to leave the apparent age out if no HTTP/1.0 hop is on the path).
func AgeOf(h http.Header) time.Duration {
	first, _ := CutItem(h.Get("Age"))
	d, _ := deltaSeconds(strings.TrimSpace(first))
	return d
}

// Failed reports whether a stale entry may replace an answer with this status (RFC 5861
// section 4).
func Failed(status int) bool {
	switch status {
	case http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}
