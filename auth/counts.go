package auth

import (
	"errors"
	"sync/atomic"
	"time"
)

// Counts are how often [Authenticator.Identify] came to each of its results since the start. Every call is in exactly one of them.
type Counts struct {
	Known       int64 // what this process knew was fresh
	Shared      int64 // another gateway knew
	Asked       int64 // the control plane was asked and named the principal
	Stale       int64 // it did not say, and what it said before is good for forwarding
	Refused     int64 // it does not accept the token, as it said now or a moment ago
	Unavailable int64 // it did not say, and nothing is known
	Guessing    int64 // the caller's address has failed too often
	Left        int64 // the caller went away
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

// told counts what a caller was told by f, which is nil where it was known.
func (n *counts) add(f *flight, id *Identity, err error) {
	_, guesses := errors.AsType[*GuessingError](err)
	_, silent := errors.AsType[*UnavailableError](err)
	switch {
	case guesses:
		n.guessing.Add(1)
	case silent: // the plane's own deadline may be its cause
		n.unavailable.Add(1)
	case errors.Is(err, ErrBadToken):
		n.refused.Add(1)
	case err != nil: // the context's own
		n.left.Add(1)
	case id.Stale:
		n.stale.Add(1)
	case f == nil:
		n.known.Add(1)
	case f.shared:
		n.shared.Add(1)
	default:
		n.asked.Add(1)
	}
}

// Asking is one question to a control plane: whose a token is.
type Lookup struct {
	Plane  string
	Took   time.Duration // to the answer, or to giving up: at most [Options].Timeout
	Result string        // one of the closed list below
}

// The results of an [Asking].
const (
	resultNamed     = "named"
	resultRefused   = "refused"   // the token
	resultUnclear   = "unclear"   // an answer about this token that does not state whose it is
	resultLimited   = "limited"   // 429
	resultUnhelpful = "unhelpful" // an answer about no token in particular, as 5xx or a web page
	resultFailed    = "failed"    // no answer
)

// asked tells OnAsked of an asking that began at an instant and has just ended in v, or in failure.
func (a *Authenticator) reportLookup(plane string, began time.Time, v *verdict, failure *UnavailableError) {
	if a.options.OnLookup == nil {
		return
	}
	q := Lookup{Plane: plane, Took: time.Since(began)}
	switch {
	case failure == nil && v.principal == nil:
		q.Result = resultRefused
	case failure == nil:
		q.Result = resultNamed
	case failure.Answered:
		q.Result = resultUnclear
	case failure.Limited:
		q.Result = resultLimited
	case failure.Unreached:
		q.Result = resultFailed
	default:
		q.Result = resultUnhelpful
	}
	a.options.OnLookup(q)
}
