// Package redisconn is the only connection to Redis: it opens the client with every
// default turned off that could make a request wait, limits the time of each round
// trip, stops calling a Redis that does not answer, and reports whether Redis answers.
//
// A caller never waits longer than [Options].Timeout, whatever Redis, the network or
// the client library does, and gets every kind of failure as the one error [ErrDown].
// The caller decides how to continue without Redis; this package stores no data.
package redisconn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"osgate/internal/breaker"
	"osgate/internal/changes"
)

const (
	// watchInterval is the interval at which Run pings Redis.
	watchInterval = time.Second
	// workersPerConnection limits the round trips under way, as a multiple of the pool
	// size: some wait for a connection, and a round trip that the client library never
	// ends keeps its worker after its caller has left.
	workersPerConnection = 4
	// tripAfter is the number of round trips in a row that must fail before Redis
	// counts as down. One or two may be connections that died while idle.
	tripAfter = 3
	// tripOver is how long round trips must have been late, without one in time, before
	// Redis counts as down. A busy machine makes all round trips under way late at the
	// same moment, and the next ones are in time. Meanwhile each caller waits for
	// Options.Timeout at most.
	tripOver = time.Second
	// maxDelay is the longest time between two probes. Together with a probe's own
	// timeout it keeps recovery well within two seconds after Redis's return.
	maxDelay = 500 * time.Millisecond
	// calm is how long Redis must have been up before the next outage is probed with
	// the shortest delay again.
	calm = 10 * time.Second
)

// Conn is a connection pool to one Redis (a server, a cluster, or a master that
// sentinels know) behind a circuit breaker. It is safe for concurrent use.
type Conn struct {
	client   redis.UniversalClient
	cluster  bool   // client is a cluster client
	addr     string // address for String: only host:port
	timeout  time.Duration
	prefix   string
	redact   func(string) string
	onChange func(State)
	onTrip   func(RoundTrip)
	onRights func(denied string)
	skipped  atomic.Int64 // round trips not made because Redis was known to be down

	group   *group         // nil: every round trip has a connection of its own
	trips   chan *trip     // to idle workers
	workers chan struct{}  // one element per worker; the capacity bounds them
	quit    chan struct{}  // closed by Close
	probes  sync.WaitGroup // the probe in flight, if any

	suspected atomic.Bool // a command was denied, or the last check of the rights failed
	rightsDue time.Time   // when Run checks the rights again; used only by Run

	mu      sync.Mutex // guards the fields below
	breaker breaker.Breaker
	state   State
	downErr error // the error for callers while the breaker is open; wraps ErrDown
	closed  bool

	changes changes.Queue[State] // changes that onChange has not received yet
}

// State reports whether Redis answers.
type State struct {
	// OK reports whether commands are sent to Redis: true after Open until several
	// round trips in a row have failed, and true again after the first probe that
	// succeeds.
	OK bool
	// Since is when OK got its value.
	Since time.Time
	// Breaker is "closed" while OK is true, otherwise "open", or "half-open" during a
	// probe.
	Breaker string
	// LastError is the reason of the latest failed round trip, without secrets. It is
	// kept after a recovery, and empty before the first failure.
	LastError string
	// Denied names the commands that the user may not run, separated by commas, and
	// contains "keys" if the user may not access keys with the prefix. It is
	// independent of OK: such a Redis still answers. It is empty if no right is known
	// to be missing.
	Denied string
}

// Open prepares a Conn according to o. It does not dial: the first command does, so
// that a gateway can start without its Redis. The error never contains the URL.
//
// It also turns off go-redis's own logging for the whole process, which prints a line
// for each failed dial; [Options].OnChange reports an outage once instead.
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
		breaker: breaker.New(breaker.Options{
			TripAfter: tripAfter, TripOver: tripOver, MinDelay: o.Timeout, MaxDelay: maxDelay, Calm: calm,
		}),
		state: State{OK: true, Since: time.Now()},
	}
	if o.Group && s.single != nil {
		c.group = newGroup(endpointOf(s.single))
	}
	return c, nil
}

func (o Options) withDefaults() Options {
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.Prefix == "" {
		o.Prefix = defaultPrefix
	}
	return o
}

func checkPrefix(prefix string) error {
	if strings.ContainsFunc(prefix, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '{' || r == '}' }) {
		return errors.New("redis key prefix: holds a brace, a blank or a control character")
	}
	return nil
}

// endpointOf returns the server of o.
func endpointOf(o *redis.Options) endpoint {
	return endpoint{
		network: o.Network, addr: o.Addr, tls: o.TLSConfig,
		username: o.Username, password: o.Password, name: o.ClientName, db: o.DB,
		connecting: o.DialTimeout, timeout: min(o.ReadTimeout, o.WriteTimeout),
	}
}

// Do sends the commands that queue adds to the pipeline in one round trip (in a
// cluster, one to each node concerned, at the same time), and returns when Redis has
// answered all of them. A [Rider] in ctx adds its commands to the same round trip.
//
// If the error is nil, Redis has answered every command; an error reply to one command,
// such as NOSCRIPT, or redis.Nil, is in that command. If the error is not nil, the
// caller must not read the commands, not even later: an abandoned round trip may still
// write to them. The error wraps [ErrDown] if Redis is down or did not answer within
// Options.Timeout (then it is unknown whether the commands took effect). It wraps ctx's
// error if ctx ended first. Otherwise it is the error that queue returned, and nothing
// was sent. queue runs in the caller's goroutine before Do returns; an empty pipeline
// makes no round trip.
func (c *Conn) Do(ctx context.Context, queue func(context.Context, redis.Pipeliner) error) error {
	rider := c.riderOf(ctx)
	round, err := c.enter(ctx)
	if err != nil {
		if rider != nil {
			finishRider(rider, err)
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
	if rider == nil {
		return c.roundTrip(ctx, p, own, account{c, round, false}).own
	}
	refused := queueRider(ctx, rider, p)
	end := c.roundTrip(ctx, p, own, account{c, round, false})
	finishRider(rider, cmp.Or(refused, end.rider))
	return end.own
}

// enter returns the breaker's round in which a round trip may start. Its errors are
// those of Do.
func (c *Conn) enter(ctx context.Context) (round uint64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("redis: %w", err)
	}
	return c.admit(ctx)
}

// Ping makes a round trip at once, in any state of the breaker, and reports the outcome
// to the breaker. It writes a key that expires within a second, because a replica, a
// cluster without its slots and a full Redis all answer PING although they cannot
// serve. The error wraps [ErrDown] or is ctx's.
func (c *Conn) Ping(ctx context.Context) error {
	p := c.client.Pipeline()
	p.Set(ctx, c.Key("probe", "probe"), "", time.Second)
	return c.roundTrip(ctx, p, p.Len(), account{conn: c, probe: true}).own
}

// Run pings once a second until ctx ends, and then returns nil. It keeps State up to
// date without traffic; with traffic, recovery does not depend on it. With
// Options.OnRights it also checks the user's rights.
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

// watchRights checks the rights if a check is due, and reports a change.
func (c *Conn) watchRights(ctx context.Context, now time.Time) {
	if c.onRights == nil || !c.suspected.Swap(false) && now.Before(c.rightsDue) {
		return
	}
	c.rightsDue = now.Add(rightsInterval)
	within, cancel := context.WithTimeout(ctx, rightsTimeout)
	defer cancel()
	lacking, err := c.Lacking(within)
	if err != nil {
		c.suspected.Store(ctx.Err() == nil) // unknown: check again soon
		return
	}
	text := strings.Join(lacking, ", ")
	c.mu.Lock()
	changed := c.state.Denied != text
	c.state.Denied = text
	c.mu.Unlock()
	c.suspected.Store(text != "") // an operator may grant the right
	if changed {
		c.onRights(text)
	}
}

// watch pings once, and again while the ping fails and the breaker is not yet open.
func (c *Conn) watch(ctx context.Context) {
	for ctx.Err() == nil {
		if c.Ping(ctx) == nil || !c.State().OK {
			return
		}
	}
}

// State returns the current state, without a round trip.
func (c *Conn) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.snapshot()
}

// snapshot returns the current state. c.mu must be held.
func (c *Conn) snapshot() State {
	s := c.state
	s.Breaker = c.breaker.String()
	return s
}

// Key returns the Redis key prefix:kind:{tag} or prefix:kind:{tag}:part:part… All keys
// with the same tag are in the same slot of a cluster, so that one script can use them.
// Nothing is escaped: the caller must hash text from outside, which also keeps it
// unreadable in Redis.
func (c *Conn) Key(kind, tag string, parts ...string) string {
	var room [192]byte // on the stack: the key is made in one piece
	key := append(append(append(room[:0], c.prefix...), ':'), kind...)
	key = append(append(append(key, ":{"...), tag...), '}')
	for _, part := range parts {
		key = append(append(key, ':'), part...)
	}
	return string(key)
}

// Close closes all connections and ends the goroutines of c, within Options.Timeout.
// Round trips under way fail, and later ones return [ErrDown]. Further calls have no
// effect.
func (c *Conn) Close() error {
	c.mu.Lock()
	again := c.closed
	c.closed = true
	c.mu.Unlock()
	if again {
		return nil
	}
	err := c.client.Close()
	if c.group != nil {
		c.group.close()
	}
	c.probes.Wait()
	close(c.quit)
	c.awaitWorkers()
	return err
}

// awaitWorkers waits until no worker runs, for as long as a round trip may last, and
// keeps new ones from starting.
func (c *Conn) awaitWorkers() {
	limit := time.NewTimer(c.timeout)
	defer limit.Stop()
	for range cap(c.workers) {
		select {
		case c.workers <- struct{}{}:
		case <-limit.C:
			return
		}
	}
}

// String returns the address without credentials.
func (c *Conn) String() string { return "redis at " + c.addr }

// admit returns the breaker's round in which a round trip may start, or an error that
// wraps ErrDown. If a probe is due, it starts one and does not wait for it: no request
// waits for the check whether Redis is back.
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

// down converts an outage into the error for callers; nil stays nil.
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
