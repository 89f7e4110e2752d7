package cache

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"osgate/cache/coherence"
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

// Explain describes how q would be answered. It changes nothing. Generations that are
// kept in process are not part of it. An error is an error of reading the generations;
// all other fields are set then too.
func (c *Cache) Explain(ctx context.Context, q Question) (Explanation, error) {
	s := c.prepare(q)
	e := Explanation{Key: c.Key(q), TTL: s.limit, BypassReason: s.known.Status.Detail}
	switch {
	case s.on.Len() == 0:
		return e, nil
	case s.limit == 0:
		e.BypassReason = s.detail
	case s.wants.NoCache:
		e.BypassReason = httpcache.DetailNoCache
	}
	names := dependencies(&s.question.Operation)
	peeker, ok := c.options.Coherence.(coherence.Peeker)
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
		{objectstore.PartitionList, "partition list"}, {objectstore.Partition, "partition"},
		{objectstore.KeyList, "key list"}, {objectstore.Key, "key"},
	} {
		if o.DependsOn().Has(one.is) {
			names = append(names, one.name)
		}
	}
	return names
}

// short returns enough digits of an id for a person to distinguish it from others.
func short(id coherence.ID) string {
	if id == (coherence.ID{}) {
		return ""
	}
	return hex.EncodeToString(id[:4])
}
