package httpcache

import (
	"net/http"
	"strings"
	"time"

	"osgate/record"
)

// Verdict is the result of judging an answer's header. Refused is the reason not to
// store the answer, as a token for Cache-Status. If it is empty, the answer may be
// stored.
type Verdict struct {
	Refused  string
	Lifetime time.Duration // from the answer's origination, so age is subtracted from it
	Age      time.Duration // how old the answer was when its request began
	Control  Control
}

// JudgeResource judges an answer to a GET of any resource for a shared cache. RFC 9111
// section 3 decides whether it may be stored, and section 4.2.1 how long it is fresh; 0
// means that each use needs a validation. Authorized reports that the request had
// Authorization, requestedAt when it began.
func JudgeResource(status int, h http.Header, authorized bool, requestedAt time.Time) Verdict {
	v := Verdict{Control: ControlOf(targeted(h))}
	v.Age = max(AgeOf(h), apparentAge(h, requestedAt))
	v.Refused, v.Lifetime = v.Control.judge(status, h, authorized, requestedAt)
	if v.Refused == "" && v.Lifetime <= v.Age && !usefulStale(h, &v.Control) {
		v.Refused = "expired"
	}
	return v
}

// judge returns the reason not to store the answer, or how long it is fresh.
func (c *Control) judge(
	status int, h http.Header, authorized bool, requestedAt time.Time,
) (refused string, fresh time.Duration) {
	known := understood(status)
	switch {
	case status < http.StatusOK, status == http.StatusPartialContent, status == http.StatusNotModified:
		return "status", 0
	case c.MustUnderstand && !known:
		return "must-understand", 0
	case c.NoStore && !c.MustUnderstand: // section 5.2.2.3: must-understand overrides no-store
		return "no-store", 0
	case c.Private.Whole:
		return "private", 0
	case authorized && !c.Public && !c.MustRevalidate && !c.SharedLifetime: // section 3.5
		return "authorization", 0
	case !c.HasLifetime && !c.Public && !known:
		return "status", 0
	}
	if _, ok := VariesBy(h); !ok {
		return "vary", 0
	}
	switch {
	case c.NoCache.Whole:
		return "", 0
	case c.HasLifetime:
		return "", max(0, c.Lifetime)
	}
	return "", heuristic(h, requestedAt)
}

// understood reports whether the status is heuristically cacheable (RFC 9110 section
// 15.1). These are also the statuses whose caching rules this cache implements, as
// must-understand requires, except 206, which is never stored here.
func understood(status int) bool {
	switch status {
	case http.StatusOK, http.StatusNonAuthoritativeInfo, http.StatusNoContent, http.StatusMultipleChoices,
		http.StatusMovedPermanently, http.StatusPermanentRedirect, http.StatusNotFound, http.StatusMethodNotAllowed,
		http.StatusGone, http.StatusRequestURITooLong, http.StatusNotImplemented:
		return true
	}
	return false
}

// The heuristic freshness of an answer that states none: a tenth of the time since its
// last change (RFC 9111 section 4.2.2), a day at most.
const (
	heuristicShare = 10
	maxHeuristic   = 24 * time.Hour
)

func heuristic(h http.Header, requestedAt time.Time) time.Duration {
	modified, err := http.ParseTime(h.Get("Last-Modified"))
	if err != nil {
		return 0
	}
	return min(max(0, originated(h, requestedAt).Sub(modified)/heuristicShare), maxHeuristic)
}

// originated returns the answer's Date, or when it was requested if it has no valid
// Date.
func originated(h http.Header, requestedAt time.Time) time.Time {
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		return date
	}
	return requestedAt
}

// apparentAge returns the age of the answer, by its Date, when its request began (RFC
// 9111 section 4.2.3, without response_delay, because [Entry.Age] counts from the
// request).
func apparentAge(h http.Header, requestedAt time.Time) time.Duration {
	return max(0, requestedAt.Sub(originated(h, requestedAt)))
}

// Revalidatable reports whether upstream can validate the answer.
func Revalidatable(h http.Header) bool { return h.Get("Etag") != "" || h.Get("Last-Modified") != "" }

// usefulStale reports whether an answer that is not fresh is worth its room: it can be
// validated, or upstream allows to serve it stale.
func usefulStale(h http.Header, control *Control) bool {
	return Revalidatable(h) || control.WhileRevalidate.Present || control.IfError.Present
}

// VariesBy returns the names of the request fields by which the answer was selected, in
// their canonical form. Ok is false if the answer varies by something that requests
// cannot be compared by (RFC 9111 section 4.1).
func VariesBy(h http.Header) (names []string, ok bool) {
	for _, line := range h["Vary"] {
		for name := range strings.SplitSeq(line, ",") {
			switch name = strings.TrimSpace(name); {
			case name == "":
			case name == "*" || !record.IsToken(name):
				return nil, false
			default:
				names = append(names, http.CanonicalHeaderKey(name))
			}
		}
	}
	return names, true
}

// targeted returns the header that contains the origin's directives for a shared cache.
// A valid CDN-Cache-Control replaces Cache-Control and Expires (RFC 9213 section 2.2).
func targeted(h http.Header) http.Header {
	lines := h["Cdn-Cache-Control"]
	if len(lines) == 0 || !validTarget(lines) {
		return h
	}
	return http.Header{"Cache-Control": lines}
}

// validTarget reports whether the lines are a structured dictionary that is not empty and
// whose numbers of seconds are numbers (RFC 9213 section 2.1; RFC 9651 section 4.2.2).
// Parameters and inner lists have no meaning in a directive and make it invalid.
func validTarget(lines []string) bool {
	members := 0
	for _, line := range lines {
		for rest := line; rest != ""; {
			var member string
			member, rest = CutItem(rest)
			member = strings.Trim(member, " \t")
			if !dictionaryMember(member) {
				return false
			}
			members++
		}
		if strings.HasSuffix(strings.TrimRight(line, " \t"), ",") {
			return false
		}
	}
	return members > 0
}

func dictionaryMember(member string) bool {
	name, value, hasValue := strings.Cut(member, "=")
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_-.*") != "" ||
		strings.IndexByte("0123456789_-.", name[0]) >= 0 {
		return false
	}
	switch name {
	case "max-age", "s-maxage", "stale-while-revalidate", "stale-if-error":
		return len(value) <= maxIntegerDigits && isNumber(value)
	}
	return !hasValue || isNumber(value) || record.IsToken(value) || value == "?0" || value == "?1" ||
		len(value) > 1 && unquote(value) != value
}

// maxIntegerDigits is the maximum length of an integer (RFC 9651 section 3.3.1).
const maxIntegerDigits = 15

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
