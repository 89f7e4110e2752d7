package redisconn

import (
	"errors"
	"slices"
	"time"
)

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
