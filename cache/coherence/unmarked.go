package coherence

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// unmarkedWrites is the number of unmarked writes that are remembered separately.
// Beyond that, new epochs that settle cover all remembered writes.
const unmarkedWrites = 4096

// unmarked contains the writes that were sent upstream while Redis was unavailable.
// Until they have been marked, this gateway answers no request from its cache, and so
// does not serve entries that they have invalidated.
type unmarked struct {
	count atomic.Int64  // of writes and overflow
	added chan struct{} // wakes Run when a write is added

	mu       sync.Mutex // guards the fields below
	writes   map[ID]*unmarkedWrite
	overflow *unmarkedWrite // the writes beyond the bound; nil: none
}

// unmarkedWrite is a write, and the time until which it may take effect. If certain is
// true, its outcome is certain and it needs no lease.
type unmarkedWrite struct {
	on      Resources
	until   time.Time
	certain bool
}

// any reports whether there are writes to mark.
func (u *unmarked) any() bool { return u.count.Load() > 0 }

// add remembers a write. To add it again (a renewed lease) prolongs it.
func (u *unmarked) add(on Resources, writer ID, until time.Time) {
	u.mu.Lock()
	if writer == (ID{}) {
		writer = NewID() // only to distinguish it; no caller ends it
	}
	switch {
	case u.writes[writer] != nil || len(u.writes) < unmarkedWrites:
		u.writes[writer] = &unmarkedWrite{on: on, until: until}
	case u.overflow == nil || until.After(u.overflow.until):
		u.overflow = &unmarkedWrite{until: until}
	default:
		overflow := *u.overflow // a new value: the one that is being marked now may not include this write
		u.overflow = &overflow
	}
	u.recount()
	u.mu.Unlock()
	select {
	case u.added <- struct{}{}:
	default:
	}
}

// recount updates count. The caller must hold mu.
func (u *unmarked) recount() {
	n := int64(len(u.writes))
	if u.overflow != nil {
		n++
	}
	u.count.Store(n)
}

// done ends a write whose outcome is certain, and reports whether the write is
// remembered here.
func (u *unmarked) done(writer ID) bool {
	if !u.any() {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	w := u.writes[writer]
	if w == nil {
		return false
	}
	w.certain = true
	return true
}

// snapshot returns copies of the remembered writes: changes that are made while these
// are being marked are seen afterwards.
func (u *unmarked) snapshot() (writes map[ID]unmarkedWrite, overflow *unmarkedWrite) {
	u.mu.Lock()
	defer u.mu.Unlock()
	writes = make(map[ID]unmarkedWrite, len(u.writes))
	for writer, w := range u.writes {
		writes[writer] = *w
	}
	return writes, u.overflow
}

// forget drops a write that has been marked in the state as, and reports whether its
// outcome is certain. A write that was prolonged since is kept.
func (u *unmarked) forget(writer ID, as unmarkedWrite) (certain bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	w := u.writes[writer]
	if w == nil || !w.until.Equal(as.until) {
		return false
	}
	delete(u.writes, writer)
	u.recount()
	return w.certain
}

// forgetOverflow drops the overflow that was marked, unless there is a newer one.
func (u *unmarked) forgetOverflow(as *unmarkedWrite) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.overflow == as {
		u.overflow = nil
	}
	u.recount()
}

// markLate marks the unmarked writes, each for as long as it may still take effect, and
// ends those whose outcome is certain. It stops at the first failure; Run calls it
// again.
func (c *Redis) markLate(ctx context.Context) {
	if !c.unmarked.any() {
		return
	}
	writes, overflow := c.unmarked.snapshot()
	if overflow != nil {
		c.settle(ctx, writes, overflow)
		return
	}
	batch := make(map[ID]unmarkedWrite, releaseBatch)
	for writer, w := range writes {
		batch[writer] = w
		if len(batch) == releaseBatch {
			if !c.markLateBatch(ctx, batch) {
				return
			}
			clear(batch)
		}
	}
	if len(batch) > 0 {
		c.markLateBatch(ctx, batch)
	}
}

func (c *Redis) markLateBatch(ctx context.Context, batch map[ID]unmarkedWrite) (ok bool) {
	now := time.Now()
	var calls []call
	for writer, w := range batch {
		calls = append(calls, c.markCalls(w.on, writer, w.until.Sub(now))...)
	}
	if c.runMark(ctx, calls) != nil {
		return false
	}
	c.forgetMarked(batch)
	return true
}

// forgetMarked forgets the writes, and gives back the leases of those whose outcome is
// certain: the lease just taken, and that of an earlier mark.
func (c *Redis) forgetMarked(writes map[ID]unmarkedWrite) {
	for writer, w := range writes {
		if c.unmarked.forget(writer, w) {
			c.Release(w.on, writer, true)
		}
	}
}

// settle covers all remembered writes at once: by new epochs, under which no entry is
// served before all of these writes must have taken effect.
func (c *Redis) settle(ctx context.Context, writes map[ID]unmarkedWrite, overflow *unmarkedWrite) {
	settle, now := max(c.options.Settle, time.Until(overflow.until)), time.Now()
	for _, w := range writes {
		settle = max(settle, w.until.Sub(now))
	}
	if c.epochs(ctx, "settle", settle) != nil {
		return
	}
	c.forgetMarked(writes)
	c.unmarked.forgetOverflow(overflow)
}
