package cache

import (
	"time"

	"osgate/objectstore"
)

// TTL returns how long an answer to o is fresh by configuration, 0 where it is not cached.
func (c *Cache) TTL(o objectstore.Operation) time.Duration {
	return c.freshness(&Question{Operation: o})
}
