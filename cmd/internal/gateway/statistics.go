package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"osgate/auth"
	"osgate/internal/redisconn"
	"osgate/objectstore"
	"osgate/proxy"
	"osgate/stats"
	"osgate/telemetry/fleet"
)

// makeStats opens the store of the statistics: Redis, a file, or memory.
func (p *parts) makeStats() error {
	var store stats.Store
	switch {
	case p.redis != nil:
		if err := p.openCounts(); err != nil {
			return err
		}
		store, p.roster = stats.NewRedis(p.counts), fleet.NewRoster(p.counts)
	case p.config.StateDir != "":
		file, err := stats.OpenBolt(stats.BoltOptions{Dir: p.config.StateDir, Logger: p.logger})
		if err != nil {
			return fmt.Errorf("opening OSGATE_STATE_DIR: %w", err)
		}
		p.close = append(p.close, file.Close)
		store = file
	default:
		store = stats.NewMemory(stats.MemoryOptions{})
	}
	p.stats, p.turns = stats.New(stats.Options{Store: store, Logger: p.logger}), newTurns()
	return nil
}

// openCounts opens the Redis connection for writing and reading statistics. The counter
// reports its state, because flushes fail without it.
func (p *parts) openCounts() (err error) {
	c := p.config
	c.Redis.Timeout = max(c.Redis.Timeout, countsTimeout)
	if p.counts, err = OpenRedis(c, redisconn.Options{OnTrip: p.tripped(countsConnection)}); err == nil {
		p.close = append(p.close, p.counts.Close)
	}
	return err
}

// countsTimeout bounds a round trip of statistics if OSGATE_REDIS_TIMEOUT is shorter.
// Only requests for statistics wait for these round trips. A slow one does not mean
// that Redis is unavailable, and a batch that is not abandoned early is not in doubt.
const countsTimeout = 500 * time.Millisecond

const (
	// maxReadings bounds the concurrent readings of the statistics, for operators and
	// clients together. The store is mainly for counting, and a list of 10,000 stores
	// keeps a processor of the gateway busy while it is read.
	maxReadings = 2
	// maxAsking bounds the number of clients that wait for their turn to read.
	maxAsking = 64
	// turnPatience is how long a client waits for its turn.
	turnPatience = 2 * time.Second
	// answerPatience bounds the reading of an answer for a client, which may take a
	// round trip for each 500 stores.
	answerPatience = 10 * time.Second
)

// turns limits the readings of the statistics and the clients that wait for one. Turns
// are given in order of arrival. It is safe for concurrent use.
type turns struct {
	readings chan struct{} // one element for each running reading; the capacity bounds them
	asking   chan struct{} // one element for each client that reads or waits; the capacity bounds them
}

func newTurns() *turns {
	return &turns{readings: make(chan struct{}, maxReadings), asking: make(chan struct{}, maxReadings+maxAsking)}
}

// take waits for a turn until ctx ends. The caller must call end after its turn.
func (t *turns) take(ctx context.Context) (end func(), err error) {
	select {
	case t.readings <- struct{}{}:
		return func() { <-t.readings }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the readings of others: %w", ctx.Err())
	}
}

// takeSoon is take for a client, which waits only a little, and not at all if too many
// clients do. It then returns [proxy.ErrStatisticsBusy], or ctx's error if the client
// leaves first.
func (t *turns) takeSoon(ctx context.Context) (end func(), err error) {
	select {
	case t.asking <- struct{}{}:
	default:
		return nil, proxy.ErrStatisticsBusy
	}
	within, cancel := context.WithTimeout(ctx, turnPatience)
	defer cancel()
	over, err := t.take(within)
	if err == nil {
		return func() { over(); <-t.asking }, nil
	}
	<-t.asking
	if ctx.Err() != nil {
		return nil, err
	}
	return nil, proxy.ErrStatisticsBusy
}

// answerer implements the proxy's interface to the statistics.
type answerer struct {
	counter *stats.Counter
	turns   *turns
}

// Answer implements [proxy.Statistics].
func (a answerer) Answer(
	ctx context.Context, plane string, op objectstore.Operation, organizations []string, now time.Time,
) ([]byte, string, error) {
	end, err := a.turns.takeSoon(ctx)
	if err != nil {
		return nil, "", err
	}
	defer end()
	within, cancel := context.WithTimeout(ctx, answerPatience)
	defer cancel()
	said, err := a.counter.Answer(within,
		stats.Question{Plane: plane, Operation: op, Organizations: organizations}, now)
	if ctx.Err() == nil && errors.Is(err, stats.ErrUnavailable) {
		err = fmt.Errorf("%w: %w", proxy.ErrStatisticsUnavailable, err)
	}
	return said.Body, said.Type, err
}

// learner passes the organizations of callers on to the statistics: the tree over which
// isMaster sums.
type learner struct {
	auth.Resolver
	counter *stats.Counter
}

// Lookup implements [auth.Resolver].
func (l *learner) Lookup(ctx context.Context, plane string, token auth.Token) (auth.Answer, error) {
	said, err := l.Resolver.Lookup(ctx, plane, token)
	if err == nil {
		for _, tree := range said.Principal.Trees {
			l.counter.LearnTree(plane, tree.Root, tree.Subs)
		}
	}
	return said, err
}
