package cache

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"osgate/cache/coherence"
	"osgate/objectstore"
)

// Mark is a write that is about to be sent upstream or under way. While the Mark is
// alive, reads of the resources that it touches bypass the cache. Losing a Mark is
// safe: its lease runs out. A Mark is safe for concurrent use.
type Mark struct {
	cache       *Cache
	question    Question
	on          coherence.Resources
	writer      coherence.ID
	client      string // the name under which its lease is counted
	began       time.Time
	mayRollBack bool // the operation may roll back by itself after its answer
	lease       time.Duration
	deadline    atomic.Pointer[time.Time]
	done        atomic.Bool
}

// Mark announces the write q, for which [objectstore.Operation.Writes] is true, before
// it is sent upstream: all resources that it touches get a lease. Now is the time of
// the call. The write must take effect upstream before [Mark.Deadline], or never.
//
// An error means that other replicas may not learn of the write; the caller decides
// whether to send it. The Mark is nil then.
func (c *Cache) Mark(ctx context.Context, q Question, now time.Time) (*Mark, error) {
	o := &q.Operation
	m := &Mark{cache: c, question: q, writer: coherence.NewID(), lease: c.options.WriteLease}
	if m.mayRollBack = mayRollBack(o); m.mayRollBack {
		m.lease += c.confirmation(&q, now) // upstream counts it from when the write takes effect
	}
	m.countLease(now)
	if err := m.mark(ctx, now); err != nil {
		c.options.Coherence.Release(m.on, m.writer, false) // it may have been marked in spite of the error
		c.holders.end(m.client, time.Time{})
		return nil, err
	}
	c.counts.marks.Add(1)
	return m, nil
}

// mayRollBack reports whether the operation may roll back by itself after its answer: a
// confirmable operation, or one that prolongs it.
func mayRollBack(o *objectstore.Operation) bool { return o.Confirmable || o.Kind == objectstore.Extend }

// confirmation is how long after it took effect a confirmable operation on q's store may
// still roll back. A store may have been changed since its times were learned long ago.
func (c *Cache) confirmation(q *Question, now time.Time) time.Duration {
	times := c.learned.of(q.Location, q.Operation.Ref)
	if times.confirmation > 0 && times.current(now) {
		return times.confirmation
	}
	return max(times.confirmation, c.options.ConfirmationLease)
}

func (m *Mark) mark(ctx context.Context, now time.Time) error {
	if err := m.cache.options.Coherence.Mark(ctx, m.on, m.writer, m.lease); err != nil {
		return fmt.Errorf("marking a write: %w", err)
	}
	deadline := now.Add(m.cache.options.WriteLease)
	m.deadline.Store(&deadline)
	return nil
}

// Deadline returns the time before which the write must take effect. A write that
// cannot do so must not be sent.
func (m *Mark) Deadline() time.Time { return *m.deadline.Load() }

// Renew prolongs the lease by its full length from now, for a body that takes long to
// send. It must be called before the deadline. The end of ctx does not stop it: a write
// under way continues to its answer even if its client disconnects. An error leaves
// lease and deadline as they were; nil may mean that the renewal is only remembered, as
// in [coherence.Tracker].
func (m *Mark) Renew(ctx context.Context) error {
	if m.done.Load() {
		return nil
	}
	now := time.Now()
	m.renewed(now)
	return m.mark(context.WithoutCancel(ctx), now)
}

// Done ends the write, before or after the client is answered. The outcome decides
// whether the lease is given back, and whether entries stay valid. A second call has no
// effect.
func (m *Mark) Done(outcome WriteOutcome) {
	if m.done.Swap(true) {
		return
	}
	now := time.Now()
	if o := &m.question.Operation; outcome != Refused && o.Touches().Has(objectstore.Store) {
		// Under the lease the cache learned nothing about the store.
		m.cache.learned.forget(m.question.Location, o.Ref, now)
	}
	m.countEnd(outcome, now)
	if m.keeps(outcome) {
		return
	}
	m.cache.options.Coherence.Release(m.on, m.writer, outcome != Refused)
}

// keeps reports whether the lease stays until it runs out.
func (m *Mark) keeps(outcome WriteOutcome) bool {
	return outcome == Unknown || outcome == Applied && m.mayRollBack
}
