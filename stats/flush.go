package stats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync/atomic"
	"time"
)

const (
	// flushTimeout bounds one flush, which may pass many batches to a store.
	flushTimeout = 10 * time.Second
	// drainPause is the time between two attempts at the end.
	drainPause = 100 * time.Millisecond
	// overflowPause is the shortest time between two warnings that counts do not fit.
	overflowPause = time.Minute
)

// Status describes the state of a Counter, for health pages and metrics.
type Status struct {
	Series  int // scopes and hours counted separately in memory
	Waiting int // scopes and hours passed to the store and not yet acknowledged
	// exchanges counted for their region or organization only, since the start, because
	// MaxSeries was reached
	Coarsened uint64
	Dropped   uint64    // exchanges not counted at all, since the start, for the same reason
	Lost      uint64    // operations in abandoned files, since the start; see [Bolt.Lost]
	Flushed   time.Time // when everything was last written; before the first time, when the Counter was made
	Down      time.Time // since when flushes fail; zero while they succeed
	Err       error     // why flushes fail; nil while they succeed
}

// Lag returns the time before now at which all counts were last written: normally up to
// Options.Interval.
func (s *Status) Lag(now time.Time) time.Duration { return max(0, now.Sub(s.Flushed)) }

// health holds the results of the flushes.
type health struct {
	waiting  int
	flushed  time.Time
	down     time.Time
	err      error
	overflow uint64    // coarsened and dropped at the last warning
	warned   time.Time // the time of the last warning
}

// giver is a store that may have to abandon counts.
type giver interface{ Lost() uint64 }

// Status returns the state of the counter.
func (c *Counter) Status() Status {
	lost := uint64(0)
	if store, ok := c.store.(giver); ok {
		lost = store.Lost()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return Status{
		Lost:      lost,
		Series:    int(c.held.Load()),
		Waiting:   c.health.waiting,
		Coarsened: c.coarsened.Load(),
		Dropped:   c.dropped.Load(),
		Flushed:   c.health.flushed,
		Down:      c.health.down,
		Err:       c.health.err,
	}
}

// Run flushes once in every interval until ctx ends. Then it flushes again until the
// store has acknowledged all counts or Options.Drain has passed; in the latter case it
// returns an error that states how much is lost. Exchanges kept after ctx has ended may
// not be written, so the servers of exchanges must stop before. Run returns an error at
// once if it already runs.
func (c *Counter) Run(ctx context.Context) error {
	if !c.running.CompareAndSwap(false, true) {
		return errors.New("stats: Run is already running")
	}
	defer c.running.Store(false)
	tick := time.NewTicker(c.o.Interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return c.drain(ctx)
		case <-tick.C:
			_ = c.Flush(ctx) // observe logs the error, and the next flush tries again
		}
	}
}

// drain flushes until nothing is left.
func (c *Counter) drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.o.Drain)
	defer cancel()
	for {
		err := c.Flush(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			operations, series := c.unwritten()
			if series == 0 { // only trees are left, which others learn again
				return fmt.Errorf("saving organization trees at the end: %w", err)
			}
			return fmt.Errorf("flushing counts at the end, lost at most: %d operations, %d series: %w",
				operations, series, err)
		case <-time.After(drainPause):
		}
	}
}

// unwritten returns the number of operations that the store has not acknowledged, and
// the number of their series. It includes a batch in doubt.
func (c *Counter) unwritten() (operations uint64, series int) {
	c.flushing.Lock()
	defer c.flushing.Unlock()
	operations, series = c.outbox.unwritten()
	for i := range c.shards { // counts for which the outbox had no room
		more, of := c.shards[i].unwritten()
		operations, series = operations+more, series+of
	}
	return operations, series
}

// Flush passes all counts so far to the store. An error means that some of them are not
// acknowledged: they are kept and passed again by the next Flush.
func (c *Counter) Flush(ctx context.Context) error {
	c.flushing.Lock()
	defer c.flushing.Unlock()
	began := time.Now()
	err := c.write(ctx)
	if err != nil {
		err = fmt.Errorf("writing counts: %w", err)
	}
	c.observe(ctx, err, began, time.Now())
	return err
}

func (c *Counter) write(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	for more := true; more; {
		var tallies []tally
		tallies, more = c.collect()
		c.makeRoom(time.Now())
		c.outbox.put(tallies)
		if err := c.outbox.send(ctx, c.store); err != nil { // an error here does not concern the trees
			return errors.Join(err, c.forest.save(ctx, c.store, time.Now()))
		}
	}
	return c.forest.save(ctx, c.store, time.Now())
}

// collect takes from the shards as many counts as the outbox has room for. The rest
// stays there and keeps counting; more reports whether there may be some.
func (c *Counter) collect() (all []tally, more bool) {
	room := max(0, c.o.MaxSeries-c.outbox.held)
	for i := range c.shards {
		all = c.shards[i].drain(all, room-len(all))
	}
	return all, len(all) == room
}

// makeRoom drops the series of past hours when an hour has passed, and all empty series
// when more than half of the places are taken: busy series are created again.
func (c *Counter) makeRoom(now time.Time) {
	hour := now.Unix() / 3600
	before := hour
	if int(c.held.Load()) > c.o.MaxSeries/2 {
		before = math.MaxInt64
	} else if hour == c.hour {
		return
	}
	c.hour = hour
	for i := range c.shards {
		c.shards[i].forget(before, &c.held)
	}
}

// forget drops empty cells of hours before the given one.
func (s *shard) forget(before int64, held *atomic.Int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for h, c := range s.cells {
		var kept *cell
		for c != nil {
			next := c.next
			if c.dirty || c.series.hour >= before {
				c.next, kept = kept, c
			} else {
				held.Add(-1)
			}
			c = next
		}
		if kept == nil {
			delete(s.cells, h)
			continue
		}
		s.cells[h] = kept
	}
}

// observe records the result of a flush, and logs when it changes. A flush canceled by
// its caller does not describe the store.
func (c *Counter) observe(ctx context.Context, err error, began, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := &c.health
	h.waiting = c.outbox.held
	if err != nil && ctx.Err() != nil {
		return
	}
	switch {
	case err != nil && h.err == nil:
		h.down = now
		c.logger.Warn("counts cannot be written; they gather in memory", slog.Any("error", err))
	case err == nil && h.err != nil:
		c.logger.Info("counts are written again", slog.Int64("after_ms", now.Sub(h.down).Milliseconds()))
		h.down = time.Time{}
	}
	if h.err = err; err == nil {
		h.flushed = began // counts added meanwhile may not be written
	}
	if n := c.coarsened.Load() + c.dropped.Load(); n > h.overflow && now.Sub(h.warned) >= overflowPause {
		h.overflow, h.warned = n, now
		c.logger.Warn("more series than fit; operations are counted for their region or organization only",
			slog.Int("max_series", c.o.MaxSeries), slog.Uint64("coarsened", c.coarsened.Load()),
			slog.Uint64("dropped", c.dropped.Load()))
	}
}

// outbox holds counts until a store acknowledges them. It is used by one flush at a
// time.
type outbox struct {
	process  string
	sequence uint64
	queues   map[Scope]*queue // by organization
	held     int              // entries in all queues
}

// queue is the part of an outbox for one organization.
type queue struct {
	doubt *Batch            // passed to the store and not acknowledged
	next  map[series]Counts // counts for the batches after it
}

// unwritten returns the number of operations held, and the number of their series.
func (o *outbox) unwritten() (operations uint64, series int) {
	for _, q := range o.queues {
		if q.doubt != nil {
			operations += q.doubt.operations()
		}
		for _, c := range q.next {
			operations += c.operations()
		}
	}
	return operations, o.held
}

// put adds tallies to the next batches.
func (o *outbox) put(tallies []tally) {
	for _, t := range tallies {
		organization := t.series.scope.organization()
		q := o.queues[organization]
		if q == nil {
			q = &queue{next: make(map[series]Counts)}
			o.queues[organization] = q
		}
		c, known := q.next[t.series]
		if !known {
			o.held++
		}
		c.Add(t.counts)
		q.next[t.series] = c
	}
}

// send passes batches to store, one of each organization at a time, until all are
// acknowledged or refused once. It returns the first error.
func (o *outbox) send(ctx context.Context, store Store) error {
	var first error
	refused := make(map[Scope]bool)
	for {
		batches := o.round(refused, store.MaxEntries())
		if len(batches) == 0 {
			return first
		}
		for i, err := range store.Apply(ctx, batches) {
			organization := batches[i].Scope
			if err == nil {
				o.acknowledge(organization)
				continue
			}
			refused[organization] = true
			if first == nil {
				first = err
			}
		}
	}
}

// round returns the next batch of each organization except the refused ones: the batch
// in doubt, unchanged, before a new one of at most limit entries.
func (o *outbox) round(refused map[Scope]bool, limit int) []*Batch {
	var batches []*Batch
	for organization, q := range o.queues {
		if refused[organization] {
			continue
		}
		if q.doubt == nil {
			q.doubt = o.cut(organization, q, limit)
		}
		batches = append(batches, q.doubt)
	}
	return batches
}

// cut makes a batch from the counts in q, of at most limit entries.
func (o *outbox) cut(organization Scope, q *queue, limit int) *Batch {
	o.sequence++
	b := &Batch{Process: o.process, Sequence: o.sequence, Scope: organization}
	for k, c := range q.next {
		if len(b.Entries) == limit {
			break
		}
		b.Entries = append(b.Entries, Entry{Scope: k.scope, Hour: time.Unix(k.hour*3600, 0).UTC(), Counts: c})
		delete(q.next, k)
	}
	return b
}

// acknowledge drops the batch in doubt, and the queue with it if it is empty.
func (o *outbox) acknowledge(organization Scope) {
	q := o.queues[organization]
	o.held -= len(q.doubt.Entries)
	q.doubt = nil
	if len(q.next) == 0 {
		delete(o.queues, organization)
	}
}
