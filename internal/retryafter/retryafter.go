// Package retryafter reads the Retry-After field of HTTP answers.
package retryafter

import (
	"errors"
	"net/http"
	"strconv"
	"time"
)

// Longest is the longest wait that [Of] returns. A server that requests more has a
// wrong clock, or the process has.
const Longest = time.Hour

// Of returns how long the client of an answer with header h must wait, from 0 to
// [Longest], and whether the answer has a Retry-After field that can be read. Both
// forms of RFC 9110 section 10.2.3 are read: seconds, and a date. A date counts from
// the answer's own Date, and from now where the answer has none: the clocks of server
// and client may differ.
func Of(h http.Header, now time.Time) (wait time.Duration, ok bool) {
	value := h.Get("Retry-After")
	seconds, err := strconv.ParseUint(value, 10, 32)
	switch {
	case err == nil || errors.Is(err, strconv.ErrRange):
		return time.Duration(min(seconds, uint64(Longest/time.Second))) * time.Second, true
	case value == "":
		return 0, false
	}
	until, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return min(max(0, until.Sub(now)), Longest), true
}
