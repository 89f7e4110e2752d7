package cache

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// unmarkedWrites is how many writes without a mark are remembered apart. Beyond, all that was remembered is made up for by new epochs that
// settle.
const unmarkedWrites = 4096

// unmarked is the writes that went upstream while Redis was away. Until they have been made up for, this gateway answers nothing from its
// cache, and so cannot itself serve what they changed.
type unmarked struct {
	count atomic.Int64  // of writes and flood
	added chan struct{} // responseControl that there is one, once

	mu       sync.Mutex // guards what follows
	writes   map[ID]*unmarkedWrite
	overflow *unmarkedWrite // those beyond the bound; nil: none
}

// unmarkedWrite is a write and until when it may take effect. Over: its outcome is certain, it needs no lease.
type unmarkedWrite struct {
	on      Resources
	until   time.Time
	certain bool
}

func newUnmarked() unmarked {
	return unmarked{added: make(chan struct{}, 1), writes: map[ID]*unmarkedWrite{}}
}

// any reports whether there is something to make up for.
func (u *unmarked) any() bool { return u.count.Load() > 0 }

// add remembers a write. To add it again (a lease renewed) prolongs it.
func (u *unmarked) add(on Resources, writer ID, until time.Time) {
	u.mu.Lock()
	if writer == (ID{}) {
		writer = newID() // to be told apart; nobody ends it
	}
	switch {
	case u.writes[writer] != nil || len(u.writes) < unmarkedWrites:
		u.writes[writer] = &unmarkedWrite{on: on, until: until}
	case u.overflow == nil || until.After(u.overflow.until):
		u.overflow = &unmarkedWrite{until: until}
	default:
		overflow := *u.overflow // another one: what is being made up for now may not hold this write
		u.overflow = &overflow
	}
	u.recount()
	u.mu.Unlock()
	select {
	case u.added <- struct{}{}:
	default:
	}
}

// recount is to be called with mu held.
func (u *unmarked) recount() {
	n := int64(len(u.writes))
	if u.overflow != nil {
		n++
	}
	u.count.Store(n)
}

// done ends a write whose outcome is certain, and reports whether it is remembered here.
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

// snapshot returns what is remembered now, by value: what changes while it is being made up for is seen afterwards.
func (u *unmarked) snapshot() (writes map[ID]unmarkedWrite, overflow *unmarkedWrite) {
	u.mu.Lock()
	defer u.mu.Unlock()
	writes = make(map[ID]unmarkedWrite, len(u.writes))
	for writer, w := range u.writes {
		writes[writer] = *w
	}
	return writes, u.overflow
}

// forget drops a write that has been made up for as it was, and reports whether it is over. One that was prolonged meanwhile is kept.
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

// forgetOverflow drops the flood that was made up for, unless another has come.
func (u *unmarked) forgetOverflow(as *unmarkedWrite) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.overflow == as {
		u.overflow = nil
	}
	u.recount()
}

// markLate makes up for unmarked writes: it marks each for as long as it may still take effect, and ends those that are over like any other. It
// stops at the first failure, to be called again.
func (c *RedisCoherence) markLate(ctx context.Context) {
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

func (c *RedisCoherence) markLateBatch(ctx context.Context, batch map[ID]unmarkedWrite) (ok bool) {
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

// forgetMarked forgets the writes, and gives back the leases of those that are over: the one just taken, and one of an earlier mark.
func (c *RedisCoherence) forgetMarked(writes map[ID]unmarkedWrite) {
	for writer, w := range writes {
		if c.unmarked.forget(writer, w) {
			c.Release(w.on, writer, true)
		}
	}
}

// settle makes up for everything at once: new epochs, under which nothing is served before all that was written can have taken effect.
func (c *RedisCoherence) settle(ctx context.Context, writes map[ID]unmarkedWrite, overflow *unmarkedWrite) {
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
