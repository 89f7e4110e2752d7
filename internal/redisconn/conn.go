// Package redisconn is the one way to Redis: it opens the client with every
// default that could make a request wait turned off, bounds each round trip hard,
// stops asking a Redis that does not answer, and says which of the two it is.
//
// The idea to keep in mind: a caller never waits longer than [Options].Timeout,
// whatever Redis, the network or the client library does, and learns of every kind
// of trouble as the one error [ErrDown]. What to do without Redis is the caller's
// business; this package holds no data and decides nothing.
package redisconn

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"osgate/internal/breaker"
)

const (
	// watchInterval is how often Run asks Redis.
	watchInterval = time.Second
	// workersPerConnection bounds the round trips in flight, in multiples of the
	// pool: some wait for a connection, and one that the client library never ends is
	// left by its caller but keeps its worker.
	workersPerConnection = 4
	// tripAfter is how many round trips in a row must fail before Redis counts as
	// down. One or two may be a connection that died while idle.
	tripAfter = 3
	// tripOver is how long round trips must have been late in a row, and none in time,
	// for Redis to count as down. A machine that is busy makes all that are under way
	// late at the same moment, and the next ones are in time. Meanwhile each waits for
	// Options.Timeout at most, as ever.
	tripOver = time.Second
	// maxDelay is the longest time between two probes. With a probe's own timeout it
	// keeps recovery well within two seconds of Redis's return.
	maxDelay = 500 * time.Millisecond
	// calm is how long Redis must have been up for the next outage to be probed from
	// the shortest delay again.
	calm = 10 * time.Second
)

// Conn is a connection pool to one Redis (a server, a cluster or a master that
// sentinels know) with a circuit breaker in front. It is safe for concurrent use.
type Conn struct {
	client   redis.UniversalClient
	cluster  bool   // client is of a cluster
	addr     string // for String; host:port only
	timeout  time.Duration
	prefix   string
	redact   func(string) string
	onChange func(State)
	onTrip   func(RoundTrip)
	onRights func(denied string)
	skipped  atomic.Int64 // round trips not made because Redis was known to be down

	trips   chan *trip     // to idle workers
	workers chan struct{}  // one element per worker; the capacity bounds them
	quit    chan struct{}  // closed by Close
	probes  sync.WaitGroup // the probe in flight, if any

	suspected atomic.Bool // a command was refused, or it is not known whether any is
	rightsDue time.Time   // when Run looks at the rights again; Run's alone

	mu      sync.Mutex // guards all below
	breaker breaker.Breaker
	state   State
	downErr error   // what a caller gets while the breaker is open; wraps ErrDown
	changes []State // not yet told to onChange
	closed  bool

	telling sync.Mutex // held while onChange runs, so that changes are told in order
}

// State says whether Redis answers.
type State struct {
	// OK reports whether Redis is asked: true from Open on until several round trips
	// in a row failed, and again from the first probe that succeeds.
	OK bool
	// Since is when OK took its value.
	Since time.Time
	// Breaker is "closed" while OK, else "open", or "half-open" while a probe finds out.
	Breaker string
	// LastError is what the latest failed round trip died of, without secrets; it is
	// kept after a recovery and empty before the first failure.
	LastError string
	// Denied names the commands that the user may not run, comma separated; "keys" where
	// it may not touch ours. Redis answers all the same: OK tells nothing of it. Empty
	// where there are none, as far as is known.
	Denied string
}

// Open prepares a Conn as o says. It dials nothing: the first command does, so that
// a gateway starts without its Redis. The error never contains the URL.
//
// It also silences go-redis's own logging for the whole process, which prints a
// line for each failed dial; [Options].OnChange has the news once instead.
func Open(o Options) (*Conn, error) {
	o = o.withDefaults()
	if err := checkPrefix(o.Prefix); err != nil {
		return nil, err
	}
	s, err := parse(o.URL, o.Timeout)
	if err != nil {
		return nil, err
	}
	redis.SetLogger(silent{})
	c := &Conn{
		client:   s.open(),
		cluster:  s.cluster != nil,
		addr:     s.addr(),
		timeout:  o.Timeout,
		prefix:   o.Prefix,
		redact:   s.redact,
		onChange: o.OnChange,
		onTrip:   o.OnTrip,
		onRights: o.OnRights,
		trips:    make(chan *trip),
		workers:  make(chan struct{}, workersPerConnection*s.poolSize()),
		quit:     make(chan struct{}),
		breaker:  breaker.New(breaker.Options{TripAfter: tripAfter, TripOver: tripOver, MinDelay: o.Timeout, MaxDelay: maxDelay, Calm: calm}),
		state:    State{OK: true, Since: time.Now()},
	}
	return c, nil
}

// Do sends the commands that queue adds to the pipeline, in one round trip (in a
// cluster, one to each node concerned, at the same time), and returns once Redis
// has answered all of them. A [Rider] in ctx travels along.
//
// A nil error means just that: an answer that is an error of one command, such as
// NOSCRIPT, or redis.Nil, is found in that command. If the error is not nil the
// commands must not be looked at, not even later: an abandoned round trip may
// still write to them. It wraps [ErrDown] if Redis cannot be asked or did not
// answer within Options.Timeout (whether the commands took effect is then
// unknown), ctx's error if ctx ended first, and else is what queue returned, in
// which case nothing was sent. queue runs before Do returns, in the caller's
// goroutine; a pipeline left empty costs nothing.
func (c *Conn) Do(ctx context.Context, queue func(context.Context, redis.Pipeliner) error) error {
	rider := c.passenger(ctx)
	round, err := c.enter(ctx)
	if err != nil {
		if rider != nil {
			alight(rider, err)
		}
		return err
	}
	p := c.client.Pipeline()
	if err := queue(ctx, p); err != nil {
		return err
	}
	own := p.Len()
	if own == 0 {
		return nil
	}
	settle := func(outage error) { c.settle(round, outage) }
	if rider == nil {
		return c.ask(ctx, p, own, settle).own
	}
	refused := board(ctx, rider, p)
	end := c.ask(ctx, p, own, settle)
	alight(rider, cmp.Or(refused, end.rider))
	return end.own
}

// enter returns the breaker's round that a round trip may start in. The error is as
// Do's.
func (c *Conn) enter(ctx context.Context) (round uint64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("asking redis: %w", err)
	}
	return c.admit(ctx)
}

// Ping asks Redis at once, whatever the breaker says, and tells the breaker. It
// writes a key that expires within a second, because a replica, a cluster without
// its slots and a full Redis all answer PING and yet are of no use. The error wraps
// [ErrDown], or is ctx's.
func (c *Conn) Ping(ctx context.Context) error {
	p := c.client.Pipeline()
	p.Set(ctx, c.Key("probe", "probe"), "", time.Second)
	return c.ask(ctx, p, p.Len(), c.probed).own
}

// Run pings once a second until ctx ends, and then returns nil. It keeps State true
// where no traffic does; recovery under traffic does not depend on it. With
// Options.OnRights it looks at the user's rights too.
func (c *Conn) Run(ctx context.Context) error {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			c.watch(ctx)
			if c.State().OK {
				c.watchRights(ctx, now)
			}
		}
	}
}

// watch pings once, and again while that fails and the breaker is not yet open.
func (c *Conn) watch(ctx context.Context) {
	for ctx.Err() == nil {
		if c.Ping(ctx) == nil || !c.State().OK {
			return
		}
	}
}

// State returns whether Redis answers, without asking it.
func (c *Conn) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.snapshot()
}

// snapshot returns the state as it is. c.mu is held.
func (c *Conn) snapshot() State {
	s := c.state
	s.Breaker = c.breaker.String()
	return s
}

// Key returns the Redis key prefix:kind:{tag} or prefix:kind:{tag}:part:part…
// Whatever has the same tag lies in the same slot of a cluster, and so can be used
// by one script. Nothing is escaped: what comes from outside is hashed by the
// caller, which also keeps it unreadable in Redis.
func (c *Conn) Key(kind, tag string, parts ...string) string {
	key := c.prefix + ":" + kind + ":{" + tag + "}"
	if len(parts) == 0 {
		return key
	}
	return key + ":" + strings.Join(parts, ":")
}

// Close ends all connections and what runs on them, which takes no longer than
// Options.Timeout. Round trips in flight fail, later ones get [ErrDown]. Further
// calls do nothing.
func (c *Conn) Close() error {
	c.mu.Lock()
	again := c.closed
	c.closed = true
	c.mu.Unlock()
	if again {
		return nil
	}
	err := c.client.Close()
	c.probes.Wait()
	close(c.quit)
	c.awaitWorkers()
	return err
}

// String returns the address without credentials.
func (c *Conn) String() string { return "redis at " + c.addr }

// admit returns the breaker's round that a round trip may start in, or an error
// that wraps ErrDown. Where a probe is due it starts one and does not wait for it:
// no request pays for finding out whether Redis is back.
func (c *Conn) admit(ctx context.Context) (round uint64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, fmt.Errorf("%w: closed", ErrDown)
	}
	round, verdict := c.breaker.Admit(time.Now())
	switch verdict {
	case breaker.Pass:
		return round, nil
	case breaker.Probe:
		c.probes.Go(func() { _ = c.Ping(context.WithoutCancel(ctx)) })
	case breaker.Refuse:
	}
	c.skipped.Add(1)
	return 0, c.downErr
}

// settle tells the breaker how a round trip admitted in round went. A refusal for a
// lack of rights is no outage: the probes, which need other rights, would end it at
// once, and the next request would begin it again.
func (c *Conn) settle(round uint64, outage error) {
	c.mu.Lock()
	var changed bool
	if now := time.Now(); late(outage) {
		changed = c.breaker.Late(round, now)
	} else {
		changed = c.breaker.Settle(round, outage == nil || denied(outage), now)
	}
	c.note(changed, outage)
	c.mu.Unlock()
	c.tell(changed)
}

// probed tells the breaker how a probe went.
func (c *Conn) probed(outage error) {
	c.mu.Lock()
	var changed bool
	if now := time.Now(); late(outage) {
		changed = c.breaker.ProbedLate(now)
	} else {
		changed = c.breaker.Probed(outage == nil, now)
	}
	c.note(changed, outage)
	c.mu.Unlock()
	c.tell(changed)
}

// note records an outcome in the state. c.mu is held.
func (c *Conn) note(changed bool, outage error) {
	if outage != nil {
		c.state.LastError = c.describe(outage)
	}
	if !changed {
		return
	}
	c.state.OK, c.state.Since = c.breaker.Closed(), time.Now()
	c.downErr = fmt.Errorf("%w: %s", ErrDown, c.state.LastError)
	if c.onChange != nil {
		c.changes = append(c.changes, c.snapshot())
	}
}

// tell hands the changes that nobody has told yet to onChange, in their order and
// without holding c.mu, so that onChange may call State.
func (c *Conn) tell(changed bool) {
	if !changed || c.onChange == nil {
		return
	}
	c.telling.Lock()
	defer c.telling.Unlock()
	c.mu.Lock()
	changes := c.changes
	c.changes = nil
	c.mu.Unlock()
	for _, s := range changes {
		c.onChange(s)
	}
}

// down turns an outage into the error that callers get; nil stays nil.
func (c *Conn) down(outage error) error {
	if outage == nil {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrDown, c.describe(outage))
}

// silent is a logger for go-redis that prints nothing.
type silent struct{}

// Printf prints nothing.
func (silent) Printf(context.Context, string, ...any) {}
