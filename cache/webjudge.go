package cache

import (
	"net/http"
	"strings"
	"time"
)

// judgeResource is judge for any resource's answer to a GET: RFC 9111 section 3, by which a shared cache may store it, and section 4.2.1, which
// responseControl how long it is fresh: 0 where it must be asked about each time.
func (r *rules) judgeResource(status int, h http.Header, control *responseControl) (refused string, fresh time.Duration) {
	known := understood(status)
	switch {
	case status < http.StatusOK, status == http.StatusPartialContent, status == http.StatusNotModified:
		return "status", 0
	case control.mustUnderstand && !known:
		return "must-understand", 0
	case control.noStore && !control.mustUnderstand: // section 5.2.2.3: whoever understands the status does not heed the no-store beside it
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

// understood reports whether the status is one that RFC 9110 section 15.1 calls heuristically cacheable. They are also the ones whose caching
// rules this cache knows, as must-understand asks: 206 apart, which is never stored here.
func understood(status int) bool {
	switch status {
	case http.StatusOK, http.StatusNonAuthoritativeInfo, http.StatusNoContent, http.StatusMultipleChoices, http.StatusMovedPermanently,
		http.StatusPermanentRedirect, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone, http.StatusRequestURITooLong,
		http.StatusNotImplemented:
		return true
	}
	return false
}

// The guess at how long an answer is fresh that says nothing of it: a tenth of the time for which it has not changed (RFC 9111 section
// 4.2.2), a day at most.
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

// originated is when the answer was made by its Date, or when it was asked for where it has none that can be read.
func originated(h http.Header, requestedAt time.Time) time.Time {
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		return date
	}
	return requestedAt
}

// apparentAge is how old the answer was, by its Date, when the request for it began (RFC 9111 section 4.2.3, response_delay taken off,
// since [Entry.Age] counts from the request).
func apparentAge(h http.Header, requestedAt time.Time) time.Duration {
	return max(0, requestedAt.Sub(originated(h, requestedAt)))
}

// revalidatable reports whether upstream can be asked if the answer is still true.
func revalidatable(h http.Header) bool { return h.Get("Etag") != "" || h.Get("Last-Modified") != "" }

// usefulStale reports whether an answer that is not fresh is worth its room: it can be asked about, or upstream lets it be served.
func usefulStale(h http.Header, control *responseControl) bool {
	return revalidatable(h) || control.whileRevalidate.present || control.ifError.present
}

// variesBy returns the names of the request fields by which the answer was selected, in their canonical form. Not ok: by something that no
// request can be compared by (RFC 9111 section 4.1).
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
