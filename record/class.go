package record

import (
	"math"
	"net/http"
	"sync/atomic"
)

// Class is what kind of line an exchange is in the access log, by which lines may be thinned out.
type Class uint8

// The classes. Each exchange has exactly one: the first that applies, from the bottom up.
const (
	ClassOK          Class = iota // answered with less than 400, by upstream or by us
	ClassHit                      // likewise, from the cache
	ClassClientError              // upstream answered 4xx, or the client left
	ClassRefused                  // we answered with a code of ours and less than 500
	ClassError                    // a 5xx, an answer that was cut, a policy rule that could not be evaluated
	classes
)

// String returns the class as OSGATE_LOG_SAMPLE writes it: "ok", "hit", "client_error", "refused", "error".
func (c Class) String() string {
	return [classes]string{"ok", "hit", "client_error", "refused", "error"}[c]
}

// statusLeft is recorded, never sent, where the client went away.
const statusLeft = 499

// ClassOf returns the class of x.
func ClassOf(x *Exchange) Class {
	switch {
	case x.Status >= http.StatusInternalServerError, x.Aborted && x.Status != statusLeft, len(x.PolicyErrors) > 0:
		return ClassError
	case x.Code != "" && x.Status != statusLeft:
		return ClassRefused
	case x.Status >= http.StatusBadRequest:
		return ClassClientError
	case x.Hit:
		return ClassHit
	}
	return ClassOK
}

// thinning says of each line of one class whether it is kept. The zero thinning keeps none.
type thinning struct {
	share float64 // from 0 to 1
	seen  atomic.Uint64
}

// golden is 2^64 over the golden ratio. Its multiples modulo 2^64 fill the range evenly, however many are taken (Weyl's sequence), so that the share is
// exact within a line or two and traffic that repeats itself falls into no step with it. Request ids would not do: clients choose them.
const golden = 0x9e3779b97f4a7c15

// keeps reports whether the next line is kept.
func (t *thinning) keeps() bool {
	switch {
	case t.share >= 1:
		return true
	case t.share <= 0:
		return false
	}
	return float64(t.seen.Add(1)*golden) < t.share*math.MaxUint64
}
