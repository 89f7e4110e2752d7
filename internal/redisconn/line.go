package redisconn

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// endpoint is one server, and how to connect to it.
type endpoint struct {
	network, addr      string
	tls                *tls.Config // nil: plain
	username, password string
	name               string // of the client; empty: none
	db                 int
	connecting         time.Duration // the limit of a connection, with its handshake
	timeout            time.Duration // of a round trip
}

// dial connects and authenticates.
func (e *endpoint) dial(ctx context.Context) (*line, error) {
	ctx, cancel := context.WithTimeout(ctx, e.connecting)
	defer cancel()
	var conn net.Conn
	var err error
	if e.tls != nil {
		conn, err = (&tls.Dialer{Config: e.tls}).DialContext(ctx, e.network, e.addr)
	} else {
		conn, err = (&net.Dialer{}).DialContext(ctx, e.network, e.addr)
	}
	if err != nil {
		return nil, err //nolint:wrapcheck // describe needs its kind
	}
	l := &line{conn: conn}
	l.reader = bufio.NewReaderSize(l, readBuffer)
	stop := context.AfterFunc(ctx, l.close)
	err = e.introduce(ctx, l)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// introduce sends what a new connection begins with, in one round trip.
func (e *endpoint) introduce(ctx context.Context, l *line) error {
	var request []byte
	var cmds []*redis.StatusCmd
	send := func(args ...any) {
		request, _ = appendCommand(request, args...) // only texts and numbers
		cmds = append(cmds, redis.NewStatusCmd(ctx, args...))
	}
	switch {
	case e.password != "" && e.username != "":
		send("auth", e.username, e.password)
	case e.password != "":
		send("auth", e.password)
	}
	if e.db > 0 {
		send("select", e.db)
	}
	if e.name != "" {
		send("client", "setname", e.name)
	}
	if len(cmds) == 0 {
		return nil
	}
	if _, err := l.conn.Write(request); err != nil {
		return err //nolint:wrapcheck // describe needs its kind
	}
	var refused error
	for _, cmd := range cmds {
		if err := readReply(l.reader, cmd); err != nil {
			return err
		}
		if refused == nil {
			refused = cmd.Err()
		}
	}
	return refused
}

// silence is how long after its deadline a batch may still be answered: the connection
// is closed if it has not been answered completely then. It is well below tripOver, so
// that one dead connection does not count as an outage of Redis.
const silence = tripOver / 2

var (
	errUnasked = errors.New("it sent data that was not requested")
	errEnded   = errors.New("it ends each connection")
	errSilent  = errors.New("it has been silent for too long")
)

// line is a connection of a [group]. Batches are answered on it in the order in which
// they were sent.
type line struct {
	conn    net.Conn
	reader  *bufio.Reader // over Read; only for the goroutine that reads
	replies Replies       // those being read; only for the goroutine that reads
	passed  func() error  // called when a read deadline has passed; its error ends the line

	// The group's mutex guards the fields below.
	pending []*batch  // sent, and not answered completely; oldest first
	joining time.Time // when those that wait are sent, although the latest batch has no answer
	failure error     // why the leader closed the connection; nil: it did not
}

// Read reads from the connection. A deadline that passes may end batches, but not the
// reply that is being read.
func (l *line) Read(p []byte) (int, error) {
	for {
		n, err := l.conn.Read(p)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) || l.passed == nil {
			return n, err //nolint:wrapcheck // its kind is the kind of the outage
		}
		if err := l.passed(); err != nil {
			return 0, err
		}
	}
}

// skip reads a reply that has no caller any more.
func (l *line) skip() error {
	l.replies.reset()
	return l.replies.read(l.reader, 0)
}

// close closes the connection at once: TLS would first send that it ends, and may wait
// for that.
func (l *line) close() {
	conn := l.conn
	if over, ok := conn.(*tls.Conn); ok {
		conn = over.NetConn()
	}
	_ = conn.Close() // of no use any more, whatever that returns
}

// due returns when the reader must act although nothing arrives: when those that wait
// must be sent, the next batch is late, or the line has been silent for too long. It is
// zero if nothing is under way.
func (l *line) due(now time.Time) time.Time {
	if len(l.pending) == 0 {
		return time.Time{}
	}
	due := l.pending[0].deadline.Add(silence)
	waited := slices.IndexFunc(l.pending, func(b *batch) bool { return !b.late })
	if waited >= 0 && l.pending[waited].deadline.Before(due) {
		due = l.pending[waited].deadline
	}
	if l.joining.After(now) && l.joining.Before(due) {
		return l.joining
	}
	return due
}

// add adds a batch that is about to be sent, and sets its deadline. Callers join the
// next batch for the given time. The group's mutex must be held.
func (l *line) add(b *batch, now time.Time, joining time.Duration) error {
	l.pending = append(l.pending, b)
	l.joining = now.Add(joining)
	return errors.Join(l.conn.SetWriteDeadline(b.deadline), l.conn.SetReadDeadline(l.due(now)))
}

// expire marks the batches that are late and returns them, and sets the next deadline.
// It fails if the line has been silent for too long. The group's mutex must be held.
func (l *line) expire(now time.Time) (late []*batch, err error) {
	for _, b := range l.pending {
		if !b.late && !b.deadline.After(now) {
			b.late = true
			late = append(late, b)
		}
	}
	if len(l.pending) > 0 && !l.pending[0].deadline.Add(silence).After(now) {
		return late, errSilent
	}
	return late, l.conn.SetReadDeadline(l.due(now)) //nolint:wrapcheck // its kind is the kind of the outage
}

// serve reads from l until it ends.
func (g *group) serve(l *line) {
	for {
		b, err := g.await(l)
		if err == nil {
			err = g.read(l, b)
		}
		if err != nil {
			g.hangUp(l, err)
			return
		}
	}
}

// open makes l the connection, and starts to read from it.
func (g *group) open(l *line) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		l.close()
		return redis.ErrClosed
	}
	l.passed = func() error { return g.deadlinePassed(l) }
	g.line = l
	g.counts.dialed.Add(1)
	g.running.Go(func() { g.serve(l) })
	return nil
}

// await waits until a reply to the oldest batch begins.
func (g *group) await(l *line) (*batch, error) {
	if _, err := l.reader.Peek(1); err != nil {
		return nil, err //nolint:wrapcheck // its kind is the kind of the outage
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(l.pending) == 0 {
		return nil, errUnasked
	}
	return l.pending[0], nil
}

// deadlinePassed gives up the batches that are late. If the next batch has waited long
// enough, it is sent. deadlinePassed fails if the line has been silent for too long.
func (g *group) deadlinePassed(l *line) error {
	now := time.Now()
	g.mu.Lock()
	late, err := l.expire(now)
	var next *member
	if err == nil && (len(late) > 0 || !now.Before(l.joining)) { // hangUp elects if the line ends
		next = g.elect()
	}
	g.mu.Unlock()
	call(next)
	for _, b := range late {
		b.end(errLate, len(b.members))
	}
	return err
}

// read reads all replies to b, the oldest batch, and ends its members.
func (g *group) read(l *line, b *batch) error {
	for ; !b.late && b.complete < len(b.members); b.complete++ {
		if err := b.readMember(l, b.members[b.complete]); err != nil {
			return err
		}
	}
	if err := b.readJoint(l); err != nil {
		return err
	}
	for ; b.read < b.replies; b.read++ {
		if err := l.skip(); err != nil {
			return err
		}
	}
	g.mu.Lock()
	l.pending = slices.Delete(l.pending, 0, 1) // the deadline of the connection stays: it is early at worst
	next := g.elect()
	g.mu.Unlock()
	call(next)
	b.end(nil, 0)
	g.freeBatch(b)
	return nil
}

// readJoint reads the replies to the questions of b, unless b is late.
func (b *batch) readJoint(l *line) error {
	if b.joint == nil || b.late {
		return nil
	}
	l.replies.reset()
	for b.read < b.replies {
		if err := l.replies.read(l.reader, 0); err != nil {
			return err
		}
		if b.read++; b.late {
			return nil
		}
	}
	b.shared = l.replies.outage
	if denied(b.shared) { // the questions may have other ways, and know of it from their answer
		b.shared = nil
	}
	defer func() { _ = recover() }()
	b.joint.Answer(&l.replies)
	return nil
}

// freeBatch keeps b, which has ended and is not pending any more, for other members.
func (g *group) freeBatch(b *batch) {
	clear(b.all)
	clear(b.questions)
	*b = batch{all: b.all[:0], questions: b.questions[:0], request: Request{encoded: b.request.encoded[:0]}}
	if cap(b.request.encoded) <= keptBuffer {
		g.batches.Put(b)
	}
}

// readMember reads the replies to m. m itself ends when the batch is late, and its
// caller may use it again from then on. So its replies are read into those of the line,
// and change places with them.
func (b *batch) readMember(l *line, m *member) error {
	if m.script {
		l.replies.reset()
		if err := l.replies.read(l.reader, 0); err != nil {
			return err
		}
		if b.read++; b.late {
			return nil
		}
		m.replies, l.replies = l.replies, m.replies
	}
	for _, cmd := range m.cmds {
		if err := readReply(l.reader, cmd); err != nil {
			return err
		}
		if b.read++; b.late {
			return nil
		}
	}
	return nil
}

// hangUp ends the line and its batches.
func (g *group) hangUp(l *line, err error) {
	g.mu.Lock()
	if l.failure != nil {
		err = l.failure
	}
	pending := l.pending
	l.pending, g.line = nil, nil
	next := g.elect()
	g.mu.Unlock()
	l.close()
	g.counts.stale.Add(1)
	call(next)
	if errors.Is(err, errSilent) {
		err = errLate
	}
	counted := 1 // whatever the number of its round trips, the end of a connection is one failure
	for _, b := range pending {
		if len(b.members) > 0 {
			b.end(err, counted)
			counted = 0
		}
	}
}
