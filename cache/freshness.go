package cache

import (
	"net/http"
	"strings"
	"time"

	"osgate/objectstore"
)

// maxNotFound is how long the absence of a key may be served: a 404 is cheap to fetch
// again, and other clients than those of the gateway may create the key.
const maxNotFound = 2 * time.Second

// rules are the inputs of judge apart from the answer itself. The engine judges two
// kinds of answers: those to an Object Store operation, whose freshness the operator
// limits, and those of any resource, whose freshness only RFC 9111 and the origin
// decide.
type rules struct {
	operation   *objectstore.Operation // nil: any resource
	limit       time.Duration          // of an operation: the freshness, unless upstream's header shortens it
	shared      bool                   // the entry will be served to more than one principal
	authorized  bool                   // the request had Authorization
	requestedAt time.Time              // when the request began; only for any resource
}

// verdict is the result of judging an answer's header. Refused is the reason not to
// store the answer, as a token for Cache-Status. If it is empty, the answer may be
// stored; for an operation lifetime is positive then.
type verdict struct {
	refused  string
	lifetime time.Duration // from the answer's origination, so age is subtracted from it
	age      time.Duration // the Age that upstream sent
	control  responseControl
}

// judge evaluates upstream's header. The lifetime of an operation's answer is limit, or
// less if the header states less (RFC 9111 section 4.2.1: s-maxage before max-age
// before Expires). Upstream cannot raise the operator's limit.
func (r *rules) judge(status int, h http.Header) verdict {
	v := verdict{control: responseControlOf(r.controls(h)), age: ageOf(h)}
	if r.operation != nil {
		v.refused, v.lifetime = r.judgeOperation(status, h, &v.control)
	} else {
		v.refused, v.lifetime = r.judgeResource(status, h, &v.control)
		v.age = max(v.age, apparentAge(h, r.requestedAt))
	}
	if v.refused == "" && v.lifetime <= v.age && (r.operation != nil || !usefulStale(h, &v.control)) {
		v.refused = "expired"
	}
	return v
}

// judgeOperation is judge for an answer to an operation.
func (r *rules) judgeOperation(status int, h http.Header, control *responseControl) (refused string, lifetime time.Duration) {
	if !storable(r.operation, status) {
		return "status", 0
	}
	lifetime = r.limit
	if status == http.StatusNotFound {
		lifetime = min(lifetime, maxNotFound)
	}
	if refused := refusedContent(h); refused != "" {
		return refused, 0
	}
	switch {
	case control.noStore:
		return "no-store", 0
	case control.noCache.present: // it could be stored, but each use needs a validation, and upstream documents no validator
		return "no-cache", 0
	case control.private.present && r.shared:
		return "private", 0
	case control.hasLifetime:
		lifetime = min(lifetime, control.lifetime)
	}
	return "", lifetime
}

// storable reports whether answers with this status are stored for the operation: a
// 200; for HEAD also a 204, which OSv2 sends; for a key also its absence.
func storable(o *objectstore.Operation, status int) bool {
	switch status {
	case http.StatusOK:
		return true
	case http.StatusNoContent:
		return o.Kind == objectstore.HeadKey
	case http.StatusNotFound:
		return o.CacheKind() == objectstore.CacheKey
	}
	return false
}

// refusedContent refuses answers that are right only for some of the requests with the
// same key: an answer with a Vary field that the key does not contain, with a content
// coding, or with a part of the content. Vary on Accept-Encoding is harmless, because
// that field is never sent upstream.
func refusedContent(h http.Header) string {
	for _, line := range h["Vary"] {
		for name := range strings.SplitSeq(line, ",") {
			name = strings.TrimSpace(name)
			if name != "" && !strings.EqualFold(name, "Accept-Encoding") && !chooses(name) {
				return "vary"
			}
		}
	}
	if coding := h.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return "content-encoding"
	}
	if h.Get("Content-Range") != "" {
		return "partial"
	}
	return ""
}

// responseControl contains upstream's directives: which caches may store the answer,
// and how long it is fresh.
type responseControl struct {
	noStore, public, mustUnderstand bool
	mustRevalidate, proxyRevalidate bool
	noCache, private                qualified
	hasLifetime, sharedLifetime     bool // sharedLifetime: there was an s-maxage
	lifetime                        time.Duration
	whileRevalidate, ifError        lifetime // RFC 5861; 0 if the value cannot be parsed
}

// neverStale reports whether upstream forbids a shared cache to serve the answer when
// it is no longer fresh (RFC 9111 section 4.2.4).
func (s *responseControl) neverStale() bool {
	return s.mustRevalidate || s.proxyRevalidate || s.sharedLifetime || s.noCache.whole
}

// qualified is a directive that may name the fields that it applies to. In an
// operation's answer both forms apply to the whole answer, as RFC 9111 sections 5.2.2.4
// and 5.2.2.7 allow.
type qualified struct {
	present bool
	whole   bool     // without names, or with names that cannot be parsed
	fields  []string // the names
}

func (q *qualified) add(argument string) {
	q.present = true
	for name := range directives([]string{argument}) { // a list of field names has the same syntax
		if isToken(name) {
			q.fields = append(q.fields, name)
		} else {
			q.whole = true
		}
	}
	q.whole = q.whole || len(q.fields) == 0
}

func responseControlOf(h http.Header) (s responseControl) {
	var maxAge, sharedAge lifetime
	for name, argument := range directives(h["Cache-Control"]) {
		switch name {
		case "no-store":
			s.noStore = true
		case "no-cache":
			s.noCache.add(argument)
		case "private":
			s.private.add(argument)
		case "public":
			s.public = true
		case "must-understand":
			s.mustUnderstand = true
		case "must-revalidate":
			s.mustRevalidate = true
		case "proxy-revalidate":
			s.proxyRevalidate = true
		case "max-age":
			maxAge.add(argument)
		case "s-maxage":
			sharedAge.add(argument)
		case "stale-while-revalidate":
			s.whileRevalidate.add(argument)
		case "stale-if-error":
			s.ifError.add(argument)
		}
	}
	switch {
	case sharedAge.present:
		s.hasLifetime, s.sharedLifetime, s.lifetime = true, true, sharedAge.d
	case maxAge.present:
		s.hasLifetime, s.lifetime = true, maxAge.d
	case len(h["Expires"]) > 0:
		s.hasLifetime, s.lifetime = true, expiresIn(h)
	}
	return s
}

// lifetime is a directive that may occur twice: the smallest value counts, and a value
// that cannot be parsed is 0 (RFC 9111 section 4.2.1).
type lifetime struct {
	present bool
	d       time.Duration
}

func (l *lifetime) add(argument string) {
	d, _ := deltaSeconds(argument)
	if !l.present || d < l.d {
		l.d = d
	}
	l.present = true
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

// ageOf returns the Age that upstream sent, the first of several (RFC 9111 section
// 5.1), or 0 if it cannot be parsed. For operations, Date is not compared with our
// clock, because a wrong clock must not turn the cache off (RFC 9111 section 4.2.3
// allows to leave the apparent age out if no HTTP/1.0 hop is on the path).
func ageOf(h http.Header) time.Duration {
	first, _ := cutItem(h.Get("Age"))
	d, _ := deltaSeconds(strings.TrimSpace(first))
	return d
}
