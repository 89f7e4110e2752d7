package stats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"
)

const (
	// flushTimeout bounds one flush, in which a store may be handed many batches.
	flushTimeout = 10 * time.Second
	// drainPause is the time between two attempts at the end.
	drainPause = 100 * time.Millisecond
	// overflowPause is the shortest time between two warnings that counts do not fit.
	overflowPause = time.Minute
)

// Status is how a Counter fares, for health pages and metrics.
type Status struct {
	Series    int       // scopes and hours counted apart in memory
	Waiting   int       // of what was counted: scopes and hours handed to the store and not yet acknowledged
	Coarsened uint64    // exchanges counted for their region or organization only, since the start, because MaxSeries was reached
	Dropped   uint64    // exchanges not counted at all, since the start, for the same reason
	Lost      uint64    // operations in files that were given up, since the start; see [Bolt.Lost]
	Flushed   time.Time // when last everything was written; before the first time, when the Counter was made
	Down      time.Time // since when flushes fail; zero while they succeed
	Err       error     // why; nil while they succeed
}

// Lag returns how long before now everything counted was last written: up to Options.Interval where all is well.
func (s *Status) Lag(now time.Time) time.Duration { return max(0, now.Sub(s.Flushed)) }

// health is what the flushes have found.
type health struct {
	waiting  int
	flushed  time.Time
	down     time.Time
	err      error
	overflow uint64    // coarsened and dropped when it was last warned of
	warned   time.Time // when that was
}

// giver is a store that may have to give up what it was given.
type giver interface{ Lost() uint64 }

// Status returns how the counter fares.
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

// Run flushes once in every interval until ctx is over, then once more: again and again until the store has acknowledged everything or
// Options.Drain is over, in which case it returns an error that says how much is lost. Exchanges kept after ctx is over may not be
// written, so what serves them has to end first. Run returns an error at once if it runs already.
func (c *Counter) Run(ctx context.Context) error {
	if !c.running.CompareAndSwap(false, true) {
		return errors.New("stats: Run runs already")
	}
	defer c.running.Store(false)
	tick := time.NewTicker(c.o.Interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return c.drain(ctx)
		case <-tick.C:
			_ = c.Flush(ctx) // told by observe, and tried again
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
			if series == 0 { // and nothing but trees is, which others tell again
				return fmt.Errorf("saving organization trees at the end: %w", err)
			}
			return fmt.Errorf("flushing counts at the end, lost at most: %d operations, %d series: %w", operations, series, err)
		case <-time.After(drainPause):
		}
	}
}

// unwritten is how many operations were counted that the store has not acknowledged, and in how many series. A batch in doubt is among them.
func (c *Counter) unwritten() (operations uint64, series int) {
	c.flushing.Lock()
	defer c.flushing.Unlock()
	operations, series = c.outbox.unwritten()
	for i := range c.shards { // what the outbox had no room for
		more, of := c.shards[i].unwritten()
		operations, series = operations+more, series+of
	}
	return operations, series
}

// Flush hands everything counted so far to the store. An error means that some of it is not acknowledged: it is kept and handed over again by
// the next Flush.
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
		if err := c.outbox.send(ctx, c.store); err != nil { // which says nothing of where trees are kept
			return errors.Join(err, c.forest.save(ctx, c.store, time.Now()))
		}
	}
	return c.forest.save(ctx, c.store, time.Now())
}

// collect takes from the shards what the outbox has room for. The rest stays where it is and goes on counting; more says that there may be
// some.
func (c *Counter) collect() (all []tally, more bool) {
	room := max(0, c.o.MaxSeries-c.outbox.held)
	for i := range c.shards {
		all = c.shards[i].drain(all, room-len(all))
	}
	return all, len(all) == room
}

// makeRoom forgets the series of past hours when an hour has passed, and all that hold nothing when more than half of the places are taken: the
// busy ones will be back.
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

// observe remembers how a flush went, and tells when that has changed. A flush that its caller gave up says nothing about the store.
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
		h.flushed = began // what is counted meanwhile need not be in it
	}
	if n := c.coarsened.Load() + c.dropped.Load(); n > h.overflow && now.Sub(h.warned) >= overflowPause {
		h.overflow, h.warned = n, now
		c.logger.Warn("more series than fit; operations are counted for their region or organization only",
			slog.Int("max_series", c.o.MaxSeries), slog.Uint64("coarsened", c.coarsened.Load()), slog.Uint64("dropped", c.dropped.Load()))
	}
}
