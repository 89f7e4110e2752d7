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
)

// makeStats opens the store of the statistics: Redis, a file, or memory.
func (p *parts) makeStats() error {
	var store stats.Store
	switch {
	case p.redis != nil:
		if err := p.openCounts(); err != nil {
			return err
		}
		store = stats.NewRedis(p.counts)
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

// countsTimeout bounds a round trip of statistics where OSGATE_REDIS_TIMEOUT does not allow more. No request waits for one but those for statistics: it
// may be late without Redis being away, and a batch that is not given up early is not in doubt.
const countsTimeout = 500 * time.Millisecond

// openCounts opens the way of statistics to Redis, writing and reading. Its state is told by the counter, whose flushes fail without it.
func (p *parts) openCounts() (err error) {
	c := p.config
	c.Redis.Timeout = max(c.Redis.Timeout, countsTimeout)
	if p.counts, err = OpenRedis(c, redisconn.Options{OnTrip: p.tripped(countsConnection)}); err == nil {
		p.close = append(p.close, p.counts.Close)
	}
	return err
}

const (
	// maxReadings bounds the readings of the statistics at one time, for operators and clients together. The store is there for counting first, and
	// a list of 10,000 stores keeps a processor of the gateway busy as long as it is read.
	maxReadings = 2
	// maxAsking bounds the clients who wait for their turn to read.
	maxAsking = 64
	// turnPatience is how long a client waits for its turn.
	turnPatience = 2 * time.Second
	// answerPatience bounds the reading of an answer to a client, which may take a round trip for each 500 stores.
	answerPatience = 10 * time.Second
)

// turns are who reads the statistics, and who waits to. Turns are given in the order of coming. They are safe for concurrent use.
type turns struct {
	readings chan struct{} // one element for each reading under way; the capacity bounds them
	asking   chan struct{} // one element for each client who reads or waits; the capacity bounds them
}

func newTurns() *turns {
	return &turns{readings: make(chan struct{}, maxReadings), asking: make(chan struct{}, maxReadings+maxAsking)}
}

// take waits for a turn, as long as ctx lasts. Who has got one must call end.
func (t *turns) take(ctx context.Context) (end func(), err error) {
	select {
	case t.readings <- struct{}{}:
		return func() { <-t.readings }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the readings of others: %w", ctx.Err())
	}
}

// takeSoon is take for a client, who waits a little and not where too many do. It fails by [proxy.ErrStatisticsBusy] then, and by ctx's error
// where the client leaves first.
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

// answerer asks the statistics in the proxy's words.
type answerer struct {
	counter *stats.Counter
	turns   *turns
}

// Answer implements [proxy.Statistics].
func (a answerer) Answer(ctx context.Context, plane string, op objectstore.Operation, organizations []string, now time.Time) ([]byte, string, error) {
	end, err := a.turns.takeSoon(ctx)
	if err != nil {
		return nil, "", err
	}
	defer end()
	within, cancel := context.WithTimeout(ctx, answerPatience)
	defer cancel()
	said, err := a.counter.Answer(within, stats.Question{Plane: plane, Operation: op, Organizations: organizations}, now)
	if ctx.Err() == nil && errors.Is(err, stats.ErrUnavailable) {
		err = fmt.Errorf("%w: %w", proxy.ErrStatisticsUnavailable, err)
	}
	return said.Body, said.Type, err
}

// learner tells the statistics of the organizations that callers belong to: the tree that isMaster sums over.
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
