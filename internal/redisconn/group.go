package redisconn

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// keptBuffer is the size, in bytes, up to which a buffer is kept for the next use.
	keptBuffer = 64 << 10
	// maxBatch is the number of round trips in a batch.
	maxBatch = 64
	// joinWithin is how long callers wait for the answer to the batch under way, to be
	// the next batch together. A Redis nearby answers before. A caller of one that is
	// farther away waits no longer than that, and then is sent before the answer.
	joinWithin = 500 * time.Microsecond
)

// group sends the round trips of several callers together, over one connection to one
// server: a group commit. While a batch is under way, callers join the next one. Its
// leader is one of them: it writes the commands of all. A batch costs one write and one
// read here and in Redis, whatever the number of its members.
//
// No timer, context or goroutine is needed for a round trip. One goroutine reads the
// replies. The deadline of a batch is that of its oldest member, and is set on the
// connection. A batch that is late is given up, and its replies are skipped when they
// arrive.
type group struct {
	endpoint   endpoint
	joinWithin time.Duration
	quit       context.Context //nolint:containedctx // ends connecting when the group is closed
	cancel     context.CancelFunc
	running    sync.WaitGroup // all goroutines
	members    sync.Pool      // of *member
	batches    sync.Pool      // of *batch
	counts     groupCounts

	dialing chan dialed // receives the connection that is being made; only for the leader

	mu      sync.Mutex // guards the fields below
	waiting []*member  // not in a batch yet; oldest first
	leading bool       // a leader is about to send
	line    *line      // nil: not connected
	closed  bool
}

// groupCounts are the group's part of [Counts].
type groupCounts struct{ reused, dialed, timedOut, stale atomic.Int64 }

// dialed is the result of dialing.
type dialed struct {
	line *line
	err  error
}

func newGroup(e endpoint) *group {
	g := &group{endpoint: e, joinWithin: joinWithin}
	//nolint:forbidigo // a connection outlives the caller that needed it first
	g.quit, g.cancel = context.WithCancel(context.Background())
	return g
}

// member returns a member without commands.
func (g *group) member(a account) *member {
	m, _ := g.members.Get().(*member)
	if m == nil {
		m = &member{turn: make(chan bool, 1)}
	}
	m.account = a
	return m
}

// add adds commands to m. It reports false if a group cannot carry them.
func (m *member) add(cmds []redis.Cmder, own int) (ok bool) {
	m.cmds, m.own = cmds, own
	m.request.encoded, ok = appendCommands(m.request.encoded, cmds)
	m.request.commands += len(cmds)
	return ok
}

// appendCommands appends the commands to b. Ok is false if one of them has a type or an
// argument that a group does not know.
func appendCommands(b []byte, cmds []redis.Cmder) (_ []byte, ok bool) {
	for _, cmd := range cmds {
		if !carried(cmd) {
			return b, false
		}
		if b, ok = appendCommand(b, cmd.Args()...); !ok {
			return b, false
		}
	}
	return b, true
}

// carried reports whether a group can set the reply of cmd.
func carried(cmd redis.Cmder) bool {
	switch cmd.(type) {
	case *redis.Cmd, *redis.StringCmd, *redis.StatusCmd, *redis.IntCmd:
		return true
	}
	return false
}

// free keeps m for another round trip.
func (g *group) free(m *member) {
	if cap(m.request.encoded) > keptBuffer {
		return
	}
	m.replies.reset()
	*m = member{request: Request{encoded: m.request.encoded[:0]}, replies: m.replies, turn: m.turn}
	g.members.Put(m)
}

// do makes the round trip of m and returns the outages, or ctx's error if the caller
// left. The caller must free m, unless it left: then it must not use m any more.
func (g *group) do(ctx context.Context, m *member) (outages outcome, left error) {
	if g.join(m) {
		g.lead()
	}
	for {
		var leads bool
		select {
		case leads = <-m.turn:
		case <-ctx.Done():
			if g.leave(m) {
				return outcome{}, ctx.Err()
			}
			leads = <-m.turn
		}
		if !leads {
			return m.outcome, nil
		}
		g.lead()
	}
}

// join adds m to those that wait, and reports whether its caller must lead.
func (g *group) join(m *member) (leads bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		m.over(both(redis.ErrClosed))
		return false
	}
	now := time.Now()
	m.deadline = now.Add(g.endpoint.timeout)
	g.waiting = append(g.waiting, m)
	if g.line != nil {
		g.counts.reused.Add(1)
	}
	if g.leading || g.line != nil && len(g.line.pending) > 0 && now.Before(g.line.joining) {
		return false
	}
	g.leading = true
	if g.line == nil { // connecting takes time, and the caller may leave
		g.running.Go(g.lead)
		return false
	}
	m.state = memberLeads
	return true
}

// leave reports whether the caller of m may leave. Its commands are not sent if they
// still wait. It may not leave if it has been chosen to lead.
func (g *group) leave(m *member) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch m.state {
	case memberLeads:
		return false
	case memberWaits:
		if i := slices.Index(g.waiting, m); i >= 0 {
			g.waiting = slices.Delete(g.waiting, i, i+1)
		}
	case memberSent:
	}
	return true
}

// lead sends the next batch. The caller is its leader, or the group's own goroutine if
// there is no connection. If the connection ends before anything is sent, as an idle one
// may, the batch is sent on another one, once: a server that ends each connection must
// not be dialed in a loop.
func (g *group) lead() {
	b := g.take()
	if b == nil {
		return
	}
	b.encode()
	var failure error
	for range 2 {
		l, err := g.connected(b.deadline)
		if err != nil {
			failure = err
			break
		}
		if g.send(l, b) {
			return
		}
		failure = errEnded
	}
	g.mu.Lock()
	g.leading = false
	next := g.elect()
	g.mu.Unlock()
	call(next)
	b.end(failure, 1)
}

// encode makes the request of b: the commands of the members, and then those that answer
// their questions. If the latter panic, the questions have no answers.
func (b *batch) encode() {
	for _, m := range b.members {
		b.request.encoded = append(b.request.encoded, m.request.encoded...)
		if m.question != nil {
			b.questions = append(b.questions, m.question)
		}
	}
	if len(b.questions) == 0 {
		return
	}
	before := len(b.request.encoded)
	func() {
		defer func() { _ = recover() }()
		b.joint = b.questions[0].Join(b.questions, &b.request)
	}()
	if b.joint == nil {
		b.request = Request{encoded: b.request.encoded[:before]}
	}
	b.replies += b.request.commands
}

// take makes a batch of those that wait. It returns nil if all of them have left.
func (g *group) take() *batch {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		g.leading = false
		return nil
	}
	n := min(len(g.waiting), maxBatch)
	b := g.batch(g.waiting[:n])
	g.waiting = slices.Delete(g.waiting, 0, n)
	for _, m := range g.waiting { // the leader may be among them
		m.state = memberWaits
	}
	return b
}

// send sends the batch, and reports false if the connection has ended before anything
// was sent. A batch whose deadline has passed, because the process did not run for a
// while, is late and is not sent: its write would end the connection, and with it the
// batches under way.
func (g *group) send(l *line, b *batch) bool {
	now := time.Now()
	expired := !b.deadline.After(now)
	var err error
	g.mu.Lock()
	if g.line != l {
		g.mu.Unlock()
		return false
	}
	if !expired {
		err = l.add(b, now, g.joinWithin)
	}
	g.mu.Unlock()
	if !expired && err == nil {
		_, err = l.conn.Write(b.request.encoded)
	}
	g.mu.Lock()
	g.leading = false
	var next *member
	if err != nil {
		l.failure = err
		l.close() // the reader ends the batches
	}
	// Those that joined meanwhile wait for the answer, unless it has arrived already or the
	// write took so long that they have waited enough.
	if g.line != l || len(l.pending) == 0 || len(g.waiting) >= maxBatch || !time.Now().Before(l.joining) {
		next = g.elect()
	}
	g.mu.Unlock()
	call(next)
	if expired {
		b.end(errLate, len(b.members))
	}
	return true
}

// elect chooses the next leader, if trips wait and none leads. g.mu must be held. The
// caller must call the leader after it has given up the mutex.
func (g *group) elect() *member {
	switch {
	case g.leading || len(g.waiting) == 0:
		return nil
	case g.line == nil:
		g.leading = true
		g.running.Go(g.lead)
		return nil
	}
	g.leading = true
	g.waiting[0].state = memberLeads
	return g.waiting[0]
}

// call makes m, if it is not nil, lead the next batch.
func call(m *member) {
	if m != nil {
		m.turn <- true
	}
}

// connected returns the connection, or makes one. The connection is made in the
// background and kept for the next batch if this one cannot wait.
func (g *group) connected(deadline time.Time) (*line, error) {
	g.mu.Lock()
	l, closed := g.line, g.closed
	g.mu.Unlock()
	if l != nil {
		return l, nil
	}
	if closed {
		return nil, redis.ErrClosed
	}
	if g.dialing == nil {
		result := make(chan dialed, 1)
		g.dialing = result
		g.running.Go(func() {
			l, err := g.endpoint.dial(g.quit)
			result <- dialed{l, err}
		})
	}
	wait := time.NewTimer(time.Until(deadline))
	defer wait.Stop()
	select {
	case d := <-g.dialing:
		g.dialing = nil
		if d.err != nil {
			return nil, d.err
		}
		return d.line, g.open(d.line)
	case <-wait.C:
		g.counts.timedOut.Add(1)
		return nil, errNoConnection
	}
}

// close ends the connection and all goroutines. Round trips that wait or are under way
// fail, and later ones fail at once.
func (g *group) close() {
	g.mu.Lock()
	g.closed = true
	if g.line != nil {
		g.line.close()
	}
	g.mu.Unlock()
	g.cancel()
	g.running.Wait()
}
