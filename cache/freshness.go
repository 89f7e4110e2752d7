package cache

import (
	"net/http"
	"strings"
	"time"

	"osgate/objectstore"
)

// maxNotFound is how long the absence of a key is believed: a 404 is cheap to ask again, and keys appear by writers beyond the gateway.
const maxNotFound = 2 * time.Second

// rules are what judging an answer depends on beside the answer itself. There are two uses of the engine: answers to an Object Store
// operation, which the operator's limit bounds, and any resource's, of which RFC 9111 and its origin alone say how long they are fresh.
type rules struct {
	operation   *objectstore.Operation // nil: any resource
	limit       time.Duration          // of an operation: no answer is fresh for longer, and one that says nothing for as long
	shared      bool                   // the entry will be served to more than one principal
	authorized  bool                   // the request had Authorization
	requestedAt time.Time              // when the request began; only for any resource
}

// verdict is what an answer's header says about storing it. Refused is why it must not be stored, as a token for Cache-Status; empty:
// it may be, and of an operation lifetime is positive then.
type verdict struct {
	refused  string
	lifetime time.Duration // from the answer's origination, so that age counts against it
	age      time.Duration // the Age it came with
	control  responseControl
}

// judge reads upstream's header. The lifetime of an operation's answer is limit, or less where upstream says less (RFC 9111 section 4.2.1: s-maxage
// before max-age before Expires); upstream never makes it longer than the operator did.
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

// judgeOperation is judge for what the gateway serves.
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
	case control.noCache.present: // storable, but to be asked about each time, and upstream has no documented validator to ask by
		return "no-cache", 0
	case control.private.present && r.shared:
		return "private", 0
	case control.hasLifetime:
		lifetime = min(lifetime, control.lifetime)
	}
	return "", lifetime
}

// storable reports whether the status is one that is kept for the operation: a complete 200; of HEAD, which OSv2 answers with 204, that
// too; of a key, its absence.
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

// refusedContent refuses answers that are right for some requests with the same key
// only: Vary on more than what the key holds, a content coding (no request for one goes
// upstream, because Accept-Encoding does not, so Vary on it is harmless), a part of a
// whole.
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

// responseControl is what upstream's header says of who may keep the answer and how long.
type responseControl struct {
	noStore, public, mustUnderstand bool
	mustRevalidate, proxyRevalidate bool
	noCache, private                qualified
	hasLifetime, sharedLifetime     bool // sharedLifetime: s-maxage was said
	lifetime                        time.Duration
	whileRevalidate, ifError        lifetime // RFC 5861; of the former what cannot be read is 0, of the latter too
}

// neverStale reports whether upstream forbids a shared cache to serve the answer when it is no longer fresh (RFC 9111 section 4.2.4).
func (s *responseControl) neverStale() bool {
	return s.mustRevalidate || s.proxyRevalidate || s.sharedLifetime || s.noCache.whole
}

// qualified is a directive that may name the fields it is about. An operation's answer is treated as a whole in either form, as RFC
// 9111 sections 5.2.2.4 and 5.2.2.7 allow.
type qualified struct {
	present bool
	whole   bool     // without names, or with names that cannot be read
	fields  []string // the names
}

func (q *qualified) add(argument string) {
	q.present = true
	for name := range directives([]string{argument}) { // a list of field names, which reads alike
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

// lifetime is a directive that may come twice: the least counts, and what cannot be read is 0 (RFC 9111 section 4.2.1).
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

// expiresIn is Expires less Date (negative: expired), 0 where either cannot be read: an invalid Expires is in the past (RFC 9111 section 5.3), and without
// upstream's clock ours says nothing.
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

// expiryDate reads a date that must be in one of the forms of RFC 9110 section 5.6.7, and the only one: [http.ParseTime] is more generous, with spaces
// and digits. The weekday says nothing.
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

// ageOf is the Age that upstream sent, the first of several (RFC 9111 section 5.1), 0 where it cannot be read. Of operations, Date is not
// compared with our clock (RFC 9111 section 4.2.3 allows to leave the apparent age out where no HTTP/1.0 hop is on the way): a clock that
// is off must not turn the cache off.
func ageOf(h http.Header) time.Duration {
	first, _ := cutItem(h.Get("Age"))
	d, _ := deltaSeconds(strings.TrimSpace(first))
	return d
}
