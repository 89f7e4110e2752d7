package cache

import (
	"time"

	"osgate/objectstore"
)

// countLease counts the lease that m is about to take and chooses its resources: all
// that the write touches, or the whole store if the client holds too many leases. Every
// read of something in a store depends on the store too.
func (m *Mark) countLease(now time.Time) {
	c, o := m.cache, &m.question.Operation
	m.began = now
	var held int
	m.client, held = c.holders.begin(m.question.Client, now)
	touched := o.Touches()
	whole := touched.Has(objectstore.Store)
	if held > clientLeases && !whole && o.Ref.Store != "" {
		touched = objectstore.Store
		c.counts.widened.Add(1)
		m.notice(HoldMany, held, now)
	}
	if whole && c.holders.wroteStore(m.client, now) {
		m.notice(HoldOften, held, now)
	}
	m.on = resourcesOf(m.question.Location, o.Ref, touched)
}

// notice reports the client's leases.
func (m *Mark) notice(why string, held int, now time.Time) {
	m.cache.holders.report(m.client, now, Holding{
		Client: m.client, Location: m.question.Location, Store: m.question.Operation.Ref.Store,
		Leases: held, Why: why, Until: now.Add(m.lease),
	})
}

// renewed reports a write whose body takes long.
func (m *Mark) renewed(now time.Time) {
	if now.Sub(m.began) >= longUnderWay {
		m.notice(HoldSlowly, m.cache.holders.held(m.client, now), now)
	}
}

// countEnd counts the lease as given back or kept.
func (m *Mark) countEnd(outcome WriteOutcome, now time.Time) {
	m.cache.counts.outcomes[outcome].Add(1)
	var kept time.Time
	if m.keeps(outcome) {
		kept = m.Deadline()
		if m.question.Operation.Touches().Has(objectstore.Store) {
			m.notice(HoldStore, m.cache.holders.held(m.client, now), now)
		}
	}
	m.cache.holders.end(m.client, kept)
}
