package cache

import (
	"context"
	"errors"
	"fmt"

	"osgate/cache/coherence"
	"osgate/objectstore"
)

// PurgeTarget selects the entries that an operator purges: all of them, or those that
// depend on one resource at one location.
type PurgeTarget struct {
	All      bool
	Location string // "us/us-east-1"

	// Ref is a key, a partition, a store, an environment (its store list) or an
	// organization (its regions).
	Ref objectstore.Ref
}

// errPurgeTarget is the error for a PurgeTarget that selects nothing.
var errPurgeTarget = errors.New("invalid purge: want all, or a location with at least an organization")

// Purge makes the selected entries unservable, fetches under way included, and returns
// the number of entries that were dropped in this process. An error means that other
// replicas may still serve theirs.
func (c *Cache) Purge(ctx context.Context, p PurgeTarget) (int, error) {
	if p.All {
		err := c.options.Coherence.Reset(ctx)
		n := c.entries.EstimatedSize()
		c.entries.InvalidateAll()
		return n, wrapPurge(err)
	}
	set := touchedBy(p.Ref)
	if p.Location == "" || set == 0 {
		return 0, errPurgeTarget
	}
	on := resourcesOf(p.Location, p.Ref, set)
	writer := coherence.NewID()
	err := c.options.Coherence.Mark(ctx, on, writer, c.options.WriteLease)
	c.options.Coherence.Release(on, writer, true)
	return c.drop(on), wrapPurge(err)
}

func wrapPurge(err error) error {
	if err != nil {
		return fmt.Errorf("purging: %w", err)
	}
	return nil
}

// touchedBy returns the resources that a write of the whole of ref would touch.
func touchedBy(ref objectstore.Ref) objectstore.Resources {
	switch {
	case ref.Organization == "":
		return 0
	case ref.Environment == "":
		return objectstore.RegionList
	case ref.Store == "":
		return objectstore.StoreList
	case ref.Partition == "":
		return objectstore.Store | objectstore.StoreList
	case ref.Key == "":
		return objectstore.Partition | objectstore.KeyList | objectstore.PartitionList
	}
	return objectstore.Key | objectstore.KeyList | objectstore.PartitionList
}

// drop removes the entries that depend on any of the resources.
func (c *Cache) drop(on coherence.Resources) (n int) {
	for key, e := range c.entries.All() {
		if e.on.Overlaps(&on) {
			if _, dropped := c.entries.Invalidate(key); dropped {
				n++
			}
		}
	}
	return n
}
