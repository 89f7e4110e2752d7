package cache

import (
	"context"
	"strings"

	"github.com/redis/go-redis/v9"
)

// A cluster moves a slot key by key, and that may take minutes. Until it is done, no node
// runs a script about keys of which it has some only: it answers TRYAGAIN, also where the
// other keys are nowhere yet. A read of such keys goes past the cache. A write must be
// marked all the same, because reads of other keys in the slot, which are on one node, are
// answered from cache.

// hold runs calls of the mark script. In a slot where Redis cannot run it for now, the
// lease is held on the whole slot: a new epoch settles for as long. The epoch is one key,
// and one key is always on just one node. Such a lease cannot be given back.
func (c *RedisCoherence) runMark(ctx context.Context, calls []call) error {
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
	if len(whole) == 0 { // Redis is away
		return err
	}
	return c.run(ctx, whole)
}

// spansNodes reports whether a script was not run, or not to its end, because its keys are
// not on one node. The second form is that of a key that expires while the script runs.
func spansNodes(err error) bool {
	return redis.HasErrorPrefix(err, "TRYAGAIN") || err != nil && strings.Contains(err.Error(), "attempted to access a non local key")
}
