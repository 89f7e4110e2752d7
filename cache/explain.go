package cache

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"osgate/objectstore"
)

// Explanation is what the cache would make of a question, and what is known of the state that its answer depends on.
type Explanation struct {
	Key string        // name of the entry, in hexadecimal
	TTL time.Duration // freshness by configuration
	// BypassReason is why the cache is not used, as in Cache-Status: "disabled", "query",
	// "no-store", "write-in-flight", "settling", …; empty: the cache is used.
	BypassReason string

	Epoch   string       // the first hexadecimal digits; empty: there is none yet, or nobody to ask
	Depends []Dependency // in the order of their place in the protocol, the widest first; empty where nothing is asked
}

// Dependency is a thing that an answer depends on and its generation's first hexadecimal digits, empty where it has none yet.
type Dependency struct{ Name, Generation string }

// Peeker is a [Coherence] that can be read without being changed.
type Peeker interface {
	// Peek is [Coherence].Read, but makes nothing that is missing: that is the zero ID.
	Peek(ctx context.Context, on Resources) (Reading, error)
}

var _ Peeker = (*RedisCoherence)(nil)

// Explain tells how q would be looked for. It changes nothing; a state of generations in process has nothing to tell and is not asked. An error
// is that of asking for the generations; all else is filled in then too.
func (c *Cache) Explain(ctx context.Context, q Question) (Explanation, error) {
	s := c.prepare(q)
	e := Explanation{Key: c.Key(q), TTL: s.limit, BypassReason: s.known.Status.Detail}
	switch {
	case s.on.n == 0:
		return e, nil
	case s.limit == 0:
		e.BypassReason = s.detail
	case s.wants.noCache:
		e.BypassReason = detailNoCache
	}
	names := dependencies(&s.question.Operation)
	peeker, ok := c.options.Coherence.(Peeker)
	if !ok {
		for _, name := range names {
			e.Depends = append(e.Depends, Dependency{Name: name})
		}
		return e, nil
	}
	reading, err := peeker.Peek(ctx, s.on)
	e.Epoch = short(reading.Stamp.Epoch)
	for i, name := range names {
		e.Depends = append(e.Depends, Dependency{name, short(reading.Stamp.Generations[i])})
	}
	switch {
	case err != nil:
		e.BypassReason = detailCoherence
		return e, fmt.Errorf("explaining: %w", err)
	case e.BypassReason == "":
		e.BypassReason = reading.Closed
	}
	return e, nil
}

// dependencies names what an answer to o depends on, in the order of [Resources].
func dependencies(o *objectstore.Operation) (names []string) {
	for _, one := range []struct {
		is   objectstore.Resources
		name string
	}{
		{objectstore.RegionList, "region list"}, {objectstore.StoreList, "store list"}, {objectstore.Store, "store"},
		{objectstore.PartitionList, "partition list"}, {objectstore.Partition, "partition"}, {objectstore.KeyList, "key list"}, {objectstore.Key, "key"},
	} {
		if o.DependsOn().Has(one.is) {
			names = append(names, one.name)
		}
	}
	return names
}

// short is enough of an id to tell it from others by eye.
func short(id ID) string {
	if id == (ID{}) {
		return ""
	}
	return hex.EncodeToString(id[:4])
}

// Peek implements [Peeker], in one round trip.
func (c *RedisCoherence) Peek(ctx context.Context, on Resources) (reading Reading, err error) {
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
		return Reading{}, fmt.Errorf("looking at generations: %w", err)
	}
	next := 0
	for i := range views {
		if !views[i].add(&reading, &next) {
			return Reading{}, errOddAnswer
		}
	}
	return reading, nil
}

// view is what lies in one slot, as it is.
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

// add puts the view into r, in which next is the place of its first generation.
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
	if settles, there := of[2].(string); there && after(settles, now) {
		r.Closed = closedBySettling
	}
	for _, leases := range of[3:] {
		if text, there := leases.(string); there && r.Closed == "" && leasedAt(text, now) {
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

// leasedAt reports whether one of the leases is alive at now. They are records of 32 bytes: the writer, and until when in 16 digits (lua/enter.lua).
func leasedAt(leases string, now int64) bool {
	const record, digits = 32, 16
	for ; len(leases) >= record; leases = leases[record:] {
		if after(leases[record-digits:record], now) {
			return true
		}
	}
	return false
}

func after(instant string, now int64) bool {
	us, err := strconv.ParseInt(instant, 10, 64)
	return err == nil && us > now
}
