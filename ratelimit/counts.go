package ratelimit

import (
	"sync/atomic"
	"time"
)

// PauseCounts are what has happened with a [Pauses] since the start.
type PauseCounts struct {
	Paused  int64 // calls of Pause: upstream said 429
	Waited  int64 // calls of Wait that met a pause and went on after it
	Refused int64 // calls of Wait that met a pause which was too long to be waited for
	Left    int64 // calls of Wait that were given up
}

// pauseCounts are the numbers behind PauseCounts. What met no pause is not counted, so that it costs nothing.
type pauseCounts struct{ paused, passed, refused, left atomic.Int64 }

// Counts returns a snapshot. The numbers are not of one instant.
func (p *Pauses) Counts() PauseCounts {
	n := &p.counts
	return PauseCounts{Paused: n.paused.Load(), Waited: n.passed.Load(), Refused: n.refused.Load(), Left: n.left.Load()}
}

// waited counts how a wait for the end of a pause ended.
func (n *pauseCounts) waited(retryAfter time.Duration, err error) {
	switch {
	case err != nil:
		n.left.Add(1)
	case retryAfter > 0:
		n.refused.Add(1)
	default:
		n.passed.Add(1)
	}
}
