package cache

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"osgate/cache/httpcache"
	"osgate/objectstore"
)

// Explanation describes how the cache would handle a question, and the state that its
// answer depends on.
type Explanation struct {
	Key string        // name of the entry, in hexadecimal
	TTL time.Duration // configured freshness
	// BypassReason is why the cache is not used, as in Cache-Status: "disabled",
	// "query", "no-store", "write-in-flight", "settling", …; empty: the cache is used.
	BypassReason string

	Epoch   string       // the first hexadecimal digits; empty: there is none yet, or it cannot be read
	Depends []Dependency // in the order of [Resources], the widest first; empty if no generations are needed
}

// Dependency is a resource that an answer depends on, with the first hexadecimal digits
// of its generation. They are empty if it has none yet.
type Dependency struct{ Name, Generation string }

// Peeker is a [Coherence] that can be read without a change to it.
type Peeker interface {
	// Peek is [Coherence].Read, but does not create a missing generation: it returns
	// the zero ID.
	Peek(ctx context.Context, on Resources) (Reading, error)
}

var _ Peeker = (*RedisCoherence)(nil)

// Explain describes how q would be answered. It changes nothing. Generations that are
// kept in process are not part of it. An error is an error of reading the generations;
// all other fields are set then too.
func (c *Cache) Explain(ctx context.Context, q Question) (Explanation, error) {
	s := c.prepare(q)
	e := Explanation{Key: c.Key(q), TTL: s.limit, BypassReason: s.known.Status.Detail}
	switch {
	case s.on.n == 0:
		return e, nil
	case s.limit == 0:
		e.BypassReason = s.detail
	case s.wants.NoCache:
		e.BypassReason = httpcache.DetailNoCache
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

// dependencies returns the names of the resources that an answer to o depends on, in
// the order of [Resources].
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

// short returns enough digits of an id for a person to distinguish it from others.
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

// leasedAt reports whether one of the leases is alive at now. A lease is a record of 32
// bytes: the writer, and the end of the lease in 16 digits (lua/enter.lua).
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
