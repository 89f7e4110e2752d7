package ratelimit

import (
	"sync/atomic"
	"time"
)

// PauseCounts are the numbers of events of a [Pauses] since the start.
type PauseCounts struct {
	Paused  int64 // calls of Pause: upstream answered 429
	Waited  int64 // calls of Wait that waited until the end of a pause
	Refused int64 // calls of Wait that were refused because the pause was too long
	Left    int64 // calls of Wait that ended with their context
}

// pauseCounts are the counters behind [PauseCounts]. Calls of Wait without a pause are
// not counted, so that they cost as little as possible.
type pauseCounts struct{ paused, passed, refused, left atomic.Int64 }

// Counts returns a snapshot. The counters are read one after another.
func (p *Pauses) Counts() PauseCounts {
	n := &p.counts
	return PauseCounts{Paused: n.paused.Load(), Waited: n.passed.Load(), Refused: n.refused.Load(), Left: n.left.Load()}
}

// countWait counts how a wait for the end of a pause ended.
func (n *pauseCounts) countWait(retryAfter time.Duration, err error) {
	switch {
	case err != nil:
		n.left.Add(1)
	case retryAfter > 0:
		n.refused.Add(1)
	default:
		n.passed.Add(1)
	}
}
