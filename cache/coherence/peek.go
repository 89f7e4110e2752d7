package coherence

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// Peeker is a [Tracker] that can be read without a change to it.
type Peeker interface {
	// Peek is [Tracker].Read, but does not create a missing generation: it returns
	// the zero ID.
	Peek(ctx context.Context, on Resources) (Reading, error)
}

var _ Peeker = (*Redis)(nil)

// Peek implements [Peeker], in one round trip.
func (c *Redis) Peek(ctx context.Context, on Resources) (reading Reading, err error) {
	if c.unmarked.any() {
		return Reading{}, errUnmarked
	}
	calls := c.calls(on, c.scripts.read)
	views := make([]view, len(calls))
	err = c.conn.Do(ctx, func(ctx context.Context, p redis.Pipeliner) error {
		for i := range calls {
			views[i].queue(ctx, p, &calls[i])
		}
		return nil
	})
	if err != nil {
		return Reading{}, fmt.Errorf("reading generations: %w", err)
	}
	next := 0
	for i := range views {
		if !views[i].add(&reading, &next) {
			return Reading{}, errOddAnswer
		}
	}
	return reading, nil
}

// view is the unchanged content of one slot.
type view struct {
	now  *redis.TimeCmd
	slot *redis.SliceCmd // epoch, purge, settles, and the leases on each resource
	ids  *redis.SliceCmd
}

func (v *view) queue(ctx context.Context, p redis.Pipeliner, of *call) {
	fields := []string{"epoch", "purge", "settles"}
	for _, lease := range of.args[headArgs : headArgs+len(of.keys)-1] {
		if field, ok := lease.(string); ok {
			fields = append(fields, field)
		}
	}
	v.now = p.Time(ctx)
	v.slot = p.HMGet(ctx, of.keys[0], fields...)
	v.ids = p.MGet(ctx, of.keys[1:]...)
}

// add adds the view to r. Next is the index of its first generation.
func (v *view) add(r *Reading, next *int) (ok bool) {
	if errors.Join(v.now.Err(), v.slot.Err(), v.ids.Err()) != nil {
		return false
	}
	now, of := v.now.Val().UnixMicro(), v.slot.Val()
	for _, id := range of[:2] {
		if text, there := id.(string); there && text != "" && !r.Stamp.Epoch.mix(text) {
			return false
		}
	}
	if settles, there := of[2].(string); there && number([]byte(settles)) > now {
		r.Closed = closedBySettling
	}
	for _, leases := range of[3:] {
		if text, there := leases.(string); there && r.Closed == "" && leasedAt([]byte(text), now) {
			r.Closed = closedByWrite
		}
	}
	for _, id := range v.ids.Val() {
		if text, there := id.(string); there && !r.Stamp.Generations[*next].mix(text) {
			return false
		}
		*next++
	}
	return true
}

// leasedAt reports whether one of the leases is alive at now. A lease is a record of 32
// bytes: the writer, and the end of the lease in 16 digits (lua/enter.lua).
func leasedAt(leases []byte, now int64) bool {
	const record, digits = 32, 16
	for ; len(leases) >= record; leases = leases[record:] {
		if number(leases[record-digits:record]) > now {
			return true
		}
	}
	return false
}
