package cache

import (
	"context"
	"fmt"
	"sync"
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

// forget is for a store that may have been changed at now: answers to earlier requests
// are ignored from now on.
func (l *learned) forget(location string, ref objectstore.Ref, now time.Time) {
	name := storeName(location, ref)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stores.Put(name, storeTimes{since: now})
}

// keeps reports whether the lease stays until it runs out.
func (m *Mark) keeps(outcome WriteOutcome) bool {
	return outcome == Unknown || outcome == Applied && m.mayRollBack
}

// The bounds of the leases of one client in this process.
const (
	// clientLeases is the number of leases that a client may hold at once: of writes
	// under way, and of ended writes whose lease is kept. Beyond that, each further
	// write takes one lease on the whole store instead of up to three on the resources
	// that it touches, so that the client's leases leave room for those of others.
	clientLeases = 256
	// clientsHeld is the number of clients that are counted separately. All further
	// clients count as one.
	clientsHeld = 4096
)

// When the leases of a client are worth a log line.
const (
	noticeEvery  = time.Minute // at most one for each client, and noticesEach for all clients
	noticesEach  = 60
	storesEach   = 60          // writes of whole stores by one client within noticeEvery
	longUnderWay = time.Minute // a write whose lease is renewed for longer
)

// Holding describes leases with which a client keeps reads from the cache, for
// [Options].OnHold.
type Holding struct {
	Client          string // its name in quotas and logs
	Location, Store string // of the write that caused the report
	Leases          int    // the leases of the client in this process
	Why             string // one of the Hold constants
	Until           time.Time
}

// The reasons of a report.
const (
	HoldStore   = "store"    // a lease on a whole store is kept: the outcome is unknown or the write may roll back
	HoldMany    = "many"     // the client holds so many leases that each further one is on a whole store
	HoldOften   = "often"    // the client writes whole stores again and again
	HoldSlowly  = "slowly"   // the body of a write takes long
	otherClient = "(others)" // the name of all clients beyond clientsHeld
)

// holders counts leases by client. It is safe for concurrent use.
type holders struct {
	notice func(Holding) // nil: no reports

	mu      sync.Mutex // guards the fields below
	clients map[string]*holder
	swept   time.Time
	since   time.Time // start of the period that notices counts
	notices int
}

// holder contains the leases of one client.
type holder struct {
	underWay int
	kept     []time.Time // the end of each kept lease; at most clientLeases, the last stands in for all further ones
	noticed  time.Time
	since    time.Time // start of the period that stores counts
	stores   int       // writes of whole stores
}

// begin counts a write that takes a lease at now. It returns the name under which the
// write is counted, and the number of leases that the client holds, this one included.
func (h *holders) begin(client string, now time.Time) (counted string, held int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.clients[client] == nil && len(h.clients) >= clientsHeld && !h.sweep(now) {
		client = otherClient
	}
	c := h.clients[client]
	if c == nil {
		c = &holder{}
		h.clients[client] = c
	}
	c.underWay++
	return client, c.held(now)
}

// end counts the end of a write: its lease is given back, or kept until the time kept.
func (h *holders) end(client string, kept time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.clients[client]
	c.underWay--
	switch last := len(c.kept) - 1; {
	case kept.IsZero():
	case last+1 < clientLeases:
		c.kept = append(c.kept, kept)
	case kept.After(c.kept[last]):
		c.kept[last] = kept
	}
}

// held drops the leases that have run out and returns the number of the others.
func (c *holder) held(now time.Time) int {
	left := c.kept[:0]
	for _, until := range c.kept {
		if until.After(now) {
			left = append(left, until)
		}
	}
	c.kept = left
	return c.underWay + len(left)
}

// sweep removes the clients that hold no leases, at most once a second, and reports
// whether that made room. The caller must hold mu.
func (h *holders) sweep(now time.Time) bool {
	if now.Sub(h.swept) < time.Second {
		return false
	}
	h.swept = now
	for name, c := range h.clients {
		if c.held(now) == 0 {
			delete(h.clients, name)
		}
	}
	return len(h.clients) < clientsHeld
}

// held returns the number of leases that a client holds.
func (h *holders) held(client string, now time.Time) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.clients[client]; c != nil {
		return c.held(now)
	}
	return 0
}

// wroteStore counts a write of a whole store and reports whether the client writes
// stores too often.
func (h *holders) wroteStore(client string, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.clients[client]
	if now.Sub(c.since) >= noticeEvery {
		c.since, c.stores = now, 0
	}
	c.stores++
	return c.stores >= storesEach
}

// report calls notice unless this client, or all clients together, have reached their
// limit of log lines. A client without leases may have been removed; then there is no
// report.
func (h *holders) report(client string, now time.Time, holding Holding) {
	if h.notice != nil && h.due(client, now) {
		h.notice(holding)
	}
}

func (h *holders) due(client string, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.clients[client]
	if now.Sub(h.since) >= noticeEvery {
		h.since, h.notices = now, 0
	}
	if c == nil || h.notices >= noticesEach || now.Sub(c.noticed) < noticeEvery {
		return false
	}
	h.notices++
	c.noticed = now
	return true
}

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
