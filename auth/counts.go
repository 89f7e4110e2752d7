package auth

import (
	"errors"
	"sync/atomic"
	"time"
)

// Counts are the number of calls of [Authenticator.Identify] by result since the start.
// Every call is in exactly one of them.
type Counts struct {
	Known       int64 // this process knew a fresh answer
	Shared      int64 // another gateway had shared the answer
	Asked       int64 // the control plane was asked and named the principal
	Stale       int64 // the lookup failed, and an earlier answer allows forwarding
	Refused     int64 // the control plane refuses the token, now or a moment ago
	Unavailable int64 // the lookup failed, and there is no earlier answer
	Guessing    int64 // the caller's address has failed too often
	Left        int64 // the caller did not wait for the result
}

// counts are the numbers behind Counts.
type counts struct{ known, shared, asked, stale, refused, unavailable, guessing, left atomic.Int64 }

// Counts returns a snapshot. The numbers are not of one instant.
func (a *Authenticator) Counts() Counts {
	n := &a.counts
	return Counts{
		Known: n.known.Load(), Shared: n.shared.Load(), Asked: n.asked.Load(), Stale: n.stale.Load(),
		Refused: n.refused.Load(), Unavailable: n.unavailable.Load(), Guessing: n.guessing.Load(), Left: n.left.Load(),
	}
}

// add counts a result by f, the flight that found it, or nil if it was known.
func (n *counts) add(f *lookupFlight, id *Identity, err error) {
	_, guesses := errors.AsType[*GuessingError](err)
	_, silent := errors.AsType[*UnavailableError](err)
	switch {
	case guesses:
		n.guessing.Add(1)
	case silent: // the plane's own deadline may be its cause
		n.unavailable.Add(1)
	case errors.Is(err, ErrBadToken):
		n.refused.Add(1)
	case err != nil: // the error of the context
		n.left.Add(1)
	case id.Stale:
		n.stale.Add(1)
	case f == nil:
		n.known.Add(1)
	case f.Result().shared:
		n.shared.Add(1)
	default:
		n.asked.Add(1)
	}
}

// Lookup describes one request to a control plane about one token.
type Lookup struct {
	Plane  string
	Took   time.Duration // until the answer or the failure: at most [Options].Timeout
	Result string        // one of the closed list below
}

// The results of a [Lookup].
const (
	resultNamed     = "named"
	resultRefused   = "refused"   // the token
	resultUnclear   = "unclear"   // an answer about this token that names no principal
	resultLimited   = "limited"   // 429
	resultUnhelpful = "unhelpful" // an answer about no particular token, such as 5xx or a web page
	resultFailed    = "failed"    // no answer
)
