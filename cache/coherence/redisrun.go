package coherence

import (
	"context"
	"time"
)

// Run gives leases back, publishes grants, marks unmarked writes, repeats revocations
// that failed, and reads all epochs at the start and every second, until ctx is done.
// Then it does the waiting work once more and returns nil.
func (c *Redis) Run(ctx context.Context) error {
	look, markLate := time.NewTicker(lookEvery), time.NewTicker(markLateEvery)
	defer look.Stop()
	defer markLate.Stop()
	trips := context.WithoutCancel(ctx) // each has its own time limit; a trip that is cut off would leave leases behind
	_ = c.epochs(trips, "look", 0)      // without Redis: at the next tick
	for {
		select {
		case <-ctx.Done():
			c.markLate(trips)
			c.revokeAgain(trips)
			c.giveBackAll(trips)
			c.publishAll(trips)
			return nil
		case first := <-c.releases:
			c.giveBack(trips, c.waiting([]release{first}))
		case first := <-c.grants.updates:
			c.publish(trips, c.waitingUpdates([]tokenUpdate{first}))
		case <-look.C:
			_ = c.epochs(trips, "look", 0)
		case <-c.unmarked.added:
			c.markLate(trips)
		case <-markLate.C:
			c.markLate(trips)
			c.revokeAgain(trips)
		}
	}
}

// publishAll writes all grants that wait to Redis.
func (c *Redis) publishAll(ctx context.Context) {
	for batch := c.waitingUpdates(nil); len(batch) > 0; batch = c.waitingUpdates(nil) {
		c.publish(ctx, batch)
	}
}

// giveBackAll gives back all leases that wait.
func (c *Redis) giveBackAll(ctx context.Context) {
	for batch := c.waiting(nil); len(batch) > 0; batch = c.waiting(nil) {
		c.giveBack(ctx, batch)
	}
}

// giveBack gives back a batch of leases. A lease whose call fails is not tried again:
// it runs out.
func (c *Redis) giveBack(ctx context.Context, batch []release) {
	var calls []call
	for _, r := range batch {
		calls = append(calls, c.calls(r.on, c.scripts.release, r.writer[:], flag(r.changed))...)
	}
	if c.run(ctx, calls) != nil {
		c.dropped.Add(int64(len(batch)))
	}
}

// waiting adds the leases that wait to batch, up to the size of a batch.
func (c *Redis) waiting(batch []release) []release {
	for len(batch) < releaseBatch {
		select {
		case r := <-c.releases:
			batch = append(batch, r)
		default:
			return batch
		}
	}
	return batch
}
