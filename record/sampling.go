package record

import (
	"math"
	"net/http"
	"sync/atomic"
)

// class is the kind of an exchange's line in the access log. Each class can be sampled.
// A class groups exchanges by what the client received; [Outcome] is finer and also
// considers what upstream answered.
type class uint8

// The classes. Each exchange has exactly one: the first that applies, from the bottom
// up.
const (
	classOK          class = iota // a status below 400, from upstream or from the gateway
	classHit                      // the same, from the cache
	classClientError              // upstream answered 4xx, or the client left
	classRefused                  // a problem of the gateway with a status below 500
	classError                    // a 5xx, an answer that was cut off, or a policy rule that could not be evaluated
	classes
)

// String returns the class as written in OSGATE_LOG_SAMPLE: "ok", "hit",
// "client_error", "refused", "error".
func (c class) String() string {
	return [classes]string{"ok", "hit", "client_error", "refused", "error"}[c]
}

// class returns the class of x.
func (x *Exchange) class() class {
	switch {
	case x.Status >= http.StatusInternalServerError, x.Aborted && !x.ClientLeft(), len(x.PolicyErrors) > 0:
		return classError
	case x.Code != "" && !x.ClientLeft():
		return classRefused
	case x.Status >= http.StatusBadRequest:
		return classClientError
	case x.Hit:
		return classHit
	}
	return classOK
}

// sampler decides which lines of one class are kept. The zero sampler keeps none.
type sampler struct {
	share float64 // from 0 to 1
	seen  atomic.Uint64
}

// golden is 2^64 divided by the golden ratio. Its multiples modulo 2^64 fill the range
// evenly (Weyl sequence), so the share is exact within one or two lines, and regular
// traffic does not align with it. Request ids are not used, because clients choose
// them.
const golden = 0x9e3779b97f4a7c15

// keeps reports whether to keep the next line.
func (t *sampler) keeps() bool {
	switch {
	case t.share >= 1:
		return true
	case t.share <= 0:
		return false
	}
	return float64(t.seen.Add(1)*golden) < t.share*math.MaxUint64
}
