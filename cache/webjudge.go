package cache

import (
	"net/http"
	"strings"
	"time"
)

// judgeResource is judge for any resource's answer to a GET. RFC 9111 section 3 decides
// whether a shared cache may store it, and section 4.2.1 how long it is fresh; 0 means
// that each use needs a validation.
func (r *rules) judgeResource(status int, h http.Header, control *responseControl) (refused string, fresh time.Duration) {
	known := understood(status)
	switch {
	case status < http.StatusOK, status == http.StatusPartialContent, status == http.StatusNotModified:
		return "status", 0
	case control.mustUnderstand && !known:
		return "must-understand", 0
	case control.noStore && !control.mustUnderstand: // section 5.2.2.3: must-understand overrides no-store
		return "no-store", 0
	case control.private.whole:
		return "private", 0
	case r.authorized && !control.public && !control.mustRevalidate && !control.sharedLifetime: // section 3.5
		return "authorization", 0
	case !control.hasLifetime && !control.public && !known:
		return "status", 0
	}
	if _, ok := variesBy(h); !ok {
		return "vary", 0
	}
	switch {
	case control.noCache.whole:
		return "", 0
	case control.hasLifetime:
		return "", max(0, control.lifetime)
	}
	return "", heuristic(h, r.requestedAt)
}

// understood reports whether the status is heuristically cacheable (RFC 9110 section
// 15.1). These are also the statuses whose caching rules this cache implements, as
// must-understand requires, except 206, which is never stored here.
func understood(status int) bool {
	switch status {
	case http.StatusOK, http.StatusNonAuthoritativeInfo, http.StatusNoContent, http.StatusMultipleChoices, http.StatusMovedPermanently,
		http.StatusPermanentRedirect, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone, http.StatusRequestURITooLong,
		http.StatusNotImplemented:
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

// revalidatable reports whether upstream can validate the answer.
func revalidatable(h http.Header) bool { return h.Get("Etag") != "" || h.Get("Last-Modified") != "" }

// usefulStale reports whether an answer that is not fresh is worth its room: it can be
// validated, or upstream allows to serve it stale.
func usefulStale(h http.Header, control *responseControl) bool {
	return revalidatable(h) || control.whileRevalidate.present || control.ifError.present
}

// variesBy returns the names of the request fields by which the answer was selected, in
// their canonical form. Ok is false if the answer varies by something that requests
// cannot be compared by (RFC 9111 section 4.1).
func variesBy(h http.Header) (names []string, ok bool) {
	for _, line := range h["Vary"] {
		for name := range strings.SplitSeq(line, ",") {
			switch name = strings.TrimSpace(name); {
			case name == "":
			case name == "*" || !isToken(name):
				return nil, false
			default:
				names = append(names, http.CanonicalHeaderKey(name))
			}
		}
	}
	return names, true
}
