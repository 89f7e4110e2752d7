package coherence

import (
	"context"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// A cluster moves a slot key by key, and that may take minutes. Until the move ends, no
// node runs a script whose keys are not all on that node: it answers TRYAGAIN, even if
// the other keys exist on no node yet. A read of such keys bypasses the cache. A write
// must still be marked, because reads of other keys in the slot, which are all on one
// node, are answered from the cache.

// runMark runs calls of the mark script. In a slot where Redis cannot run it for now,
// the lease is held on the whole slot: a new epoch settles for the same time. The epoch
// is one key, and one key is always on exactly one node. Such a lease cannot be given
// back.
func (c *Redis) runMark(ctx context.Context, calls []call) error {
	err := c.run(ctx, calls)
	c.countSettled(calls)
	if err == nil {
		return nil
	}
	var whole []call
	for i := range calls {
		switch one := &calls[i]; {
		case spansNodes(one.err):
			whole = append(whole, c.epochCall(one.slot, "settle", one.lease))
		case one.err != nil:
			return err
		}
	}
	if len(whole) == 0 { // Redis is unavailable
		return err
	}
	return c.run(ctx, whole)
}

// countSettled counts the leases for which the mark script found no room.
func (c *Redis) countSettled(calls []call) {
	for i := range calls {
		if answer := calls[i].answer; len(answer) > 1 {
			n, _ := strconv.ParseInt(answer[1], 10, 64) // the script's own number
			c.settled.Add(n)
		}
	}
}

// spansNodes reports whether a script was not run, or not to its end, because its keys
// are not on one node. The second form is that of a key that expires while the script
// runs.
func spansNodes(err error) bool {
	return redis.HasErrorPrefix(err, "TRYAGAIN") ||
		err != nil && strings.Contains(err.Error(), "attempted to access a non local key")
}
