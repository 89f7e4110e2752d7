package cache

import (
	"context"
	"crypto/sha256"
	"time"
)

// Shared is where the caches of one deployment keep entries for each other: [*SharedBodies] is one. It may forget anything at any time, and what it
// cannot read or does not get in time is a miss. Safe for concurrent use.
type Shared interface {
	// Find returns the entry that was kept under the name, with the age that it has by now or a little more; nil: there is none. It waits no longer
	// than one round trip may take.
	Find(ctx context.Context, name [32]byte) *Entry

	// Keep keeps the entry under the name for as long as it is fresh. It does not wait, and it may do nothing.
	Keep(name [32]byte, e *Entry)

	// Stats returns what it has done.
	Stats() SharedStats
}

// SharedStats is a snapshot of what a [Shared] has done since it was made.
type SharedStats struct {
	Kept       int64 // entries written
	Dropped    int64 // entries not written, for want of room or of the place
	Unreadable int64 // entries found that were sealed by another secret, forged, damaged or of another version
}

// sharedName names what answers a question in one state of the world: whatever a write has made untrue has a name that nobody asks for.
func sharedName(key digest, stamp *Stamp) digest {
	b := make([]byte, 0, 160)
	b = append(appendPart(b, "osgate shared body 1"), key[:]...)
	b = append(b, stamp.Epoch[:]...)
	for i := range stamp.Generations {
		b = append(b, stamp.Generations[i][:]...)
	}
	return sha256.Sum256(b)
}

// keep stores e here and for the others.
func (c *Cache) keep(key digest, e *Entry) {
	c.store(key, e)
	if c.options.Shared != nil {
		c.options.Shared.Keep(sharedName(key, &e.stamp), e)
	}
}

// findShared looks among the entries of the other replicas for one that may be served, and puts it into the store. A token without a grant costs no
// lookup: it has to go upstream anyway.
func (s *Search) findShared(ctx context.Context, now time.Time) Result {
	c := s.cache
	if c.options.Shared == nil {
		return Result{}
	}
	if alive, _ := s.granted(now); !alive {
		return Result{}
	}
	e := c.options.Shared.Find(ctx, sharedName(s.key, &s.stamp))
	if e == nil || !s.adopt(e, now) {
		c.counts.sharedMisses.Add(1)
		return Result{}
	}
	c.counts.sharedHits.Add(1)
	return s.serve(e, now)
}

// adopt puts an entry of another replica into the store, under the stamp that is part of its name, and reports whether it is fresh. What is configured
// here bounds it, since the other one may have been configured otherwise.
func (s *Search) adopt(e *Entry, now time.Time) bool {
	c := s.cache
	e.stamp, e.on = s.stamp, s.on
	e.lifetime = min(e.lifetime, c.longest(s.limit, s.question.Location, &s.question.Operation))
	e.stale = staleness{min(e.stale.whileRevalidate, c.options.StaleWhileRevalidate), min(e.stale.ifError, c.options.StaleIfError)}
	if e.Left(now) <= 0 || int64(len(e.body)) > c.options.EntryBytes {
		return false
	}
	c.put(s.key, e)
	return true
}
