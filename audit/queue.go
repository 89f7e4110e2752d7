package audit

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// maxQueue is the size in bytes of the lines that wait for the disk, some 8,000.
	maxQueue = 4 << 20
	// maxUnidentified is the number of lines a second for refusals of clients that were
	// not identified. Anybody can cause these, and must neither fill the disk nor take
	// the room of other lines.
	maxUnidentified = 100
)

// queue holds lines that wait for the disk. It is safe for concurrent use.
type queue struct {
	wake chan struct{} // of the writing goroutine; holds one element

	mu     sync.Mutex // guards the fields below
	lines  []byte     // members of lines, each with a line feed
	count  uint64     // of lines
	oldest time.Time  // when the first of them was added
	closed bool

	missing missing // lines without room that no line of the file states yet
	lost    uint64  // all of them
	last    time.Time

	second  time.Time // when the counting of unidentified began
	allowed int       // unidentified refusals with a line since second
	more    missing   // those without
}

// missing counts lines that are not in the file.
type missing struct {
	lines       uint64
	from, until time.Time
}

func (m *missing) add(n uint64, at time.Time) {
	if m.lines == 0 {
		m.from = at
	}
	m.lines += n
	m.until = at
}

// take returns m as a line of that kind, or no bytes if nothing is missing, and sets it
// to zero.
func (m *missing) take(b []byte, now time.Time, kind string) []byte {
	if m.lines == 0 {
		return b
	}
	f := begin(b, now, kind)
	if kind == kindGap {
		f = f.number("lost", m.lines)
	} else {
		f = f.number("refusals", m.lines) // not lost, but left out
	}
	f = f.text("from", m.from.UTC().Format(time.RFC3339Nano)).text("until", m.until.UTC().Format(time.RFC3339Nano))
	*m = missing{}
	return append(f, '\n')
}

// add adds the members of a line, with a line feed. It never waits: without room the
// line is counted as lost.
func (q *queue) add(line []byte, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.put(line, now)
}

// put is add for a caller that holds mu.
func (q *queue) put(line []byte, now time.Time) {
	if q.closed || len(q.lines)+len(line) > maxQueue {
		q.lose(1, now)
		return
	}
	if q.count == 0 {
		q.oldest = now
	}
	if gap := q.missing.take(nil, now, kindGap); len(gap) > 0 {
		q.lines = append(q.lines, gap...)
		q.count++
	}
	q.lines = append(q.lines, line...)
	q.count++
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// lose counts lines that are not written. The caller holds mu.
func (q *queue) lose(n uint64, now time.Time) {
	q.missing.add(n, now)
	q.lost += n
	q.last = now
}

// settle adds the line of the refusals without lines when their second is over.
func (q *queue) settle(now time.Time) {
	if since := now.Sub(q.second); since >= 0 && since < time.Second {
		return
	}
	q.second, q.allowed = now, 0
	if line := q.more.take(nil, now, kindRefusals); len(line) > 0 {
		q.put(line, now)
	}
}

// tick adds the lines that are due.
func (q *queue) tick(now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.settle(now)
}

// takeAll returns the waiting lines, their number, and when the first of them was
// added, and uses room for the next ones. If lines were lost behind them, the last line
// states so.
func (q *queue) takeAll(room []byte, now time.Time) (lines []byte, count uint64, oldest time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if gap := q.missing.take(nil, now, kindGap); len(gap) > 0 {
		q.lines = append(q.lines, gap...)
		q.count++
	}
	lines, count, oldest = q.lines, q.count, q.oldest
	q.lines, q.count, q.oldest = room[:0], 0, time.Time{}
	return lines, count, oldest
}

// close makes the queue refuse further lines.
func (q *queue) close(now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.second = time.Time{}
	q.settle(now)
	q.closed = true
}

// firstLines returns how many bytes of lines, whole ones, are at most limit bytes, and
// at least one line.
func firstLines(lines []byte, limit int) int {
	if len(lines) <= limit {
		return len(lines)
	}
	if at := bytes.LastIndexByte(lines[:limit], '\n'); at >= 0 {
		return at + 1
	}
	return bytes.IndexByte(lines, '\n') + 1
}

// run writes lines until Close.
func (w *Writer) run() {
	defer close(w.stopped)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var room []byte
	for {
		select {
		case <-w.queue.wake:
			w.pause(linger)
			if w.ended == nil { // otherwise the waiting lines are counted as lost
				room = w.flush(room)
			}
		case <-tick.C:
			w.queue.tick(time.Now())
		case done := <-w.reopens:
			done <- w.reopen()
		case <-w.stop:
			if w.ended == nil {
				w.flush(room)
			}
			w.finish()
			return
		}
	}
}

// pause waits, but not beyond Close.
func (w *Writer) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.stop:
	}
}

// flush writes the waiting lines, uses room for the next ones, and returns the room of
// the written ones. It tries again until they are written; after Close, once more.
func (w *Writer) flush(room []byte) []byte {
	lines, count, oldest := w.queue.takeAll(room, time.Now())
	w.working(count, oldest)
	rest := lines
	for len(rest) > 0 {
		n := firstLines(rest, block)
		err := w.write(rest[:n])
		if err == nil {
			rest = rest[n:]
			w.working(uint64(bytes.Count(rest, []byte("\n"))), oldest)
			continue
		}
		w.failing(err)
		select {
		case <-w.stop:
			w.abandon(rest, err)
			return nil
		default:
		}
		w.await()
	}
	w.working(0, time.Time{})
	w.recovered()
	return lines
}

// await waits until the next attempt. The operator may rename a file that cannot be
// written.
func (w *Writer) await() {
	timer := time.NewTimer(retry)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.stop:
	case done := <-w.reopens:
		done <- w.reopen()
	}
}

// working records how many lines are being written.
func (w *Writer) working(count uint64, oldest time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.busy, w.oldest = count, oldest; count == 0 {
		w.oldest = time.Time{}
	}
}

// failing records that writing has failed, and reports the first failure.
func (w *Writer) failing(err error) {
	w.mu.Lock()
	first := w.state.Err == nil
	if first {
		w.state.Since = time.Now()
	}
	w.state.Err = err
	w.mu.Unlock()
	if first {
		w.report(err)
	}
}

// recovered records that writing works, and reports the change.
func (w *Writer) recovered() {
	w.mu.Lock()
	failed := w.state.Err != nil
	w.state.Err, w.state.Since = nil, time.Time{}
	w.mu.Unlock()
	if failed || w.unreported() > 0 {
		w.report(nil)
	}
}

// unreported returns how many lines were lost that OnChange does not know.
func (w *Writer) unreported() uint64 {
	w.queue.mu.Lock()
	defer w.queue.mu.Unlock()
	return w.queue.lost - w.reported
}

// report calls OnChange.
func (w *Writer) report(err error) {
	lost := w.unreported()
	w.reported += lost
	if w.options.OnChange != nil {
		w.options.OnChange(Change{err, lost})
	}
}

// abandon counts the lines that could not be written before the end.
func (w *Writer) abandon(lines []byte, err error) {
	n := uint64(bytes.Count(lines, []byte("\n")))
	w.queue.mu.Lock()
	n += w.queue.count
	w.queue.lines, w.queue.count = nil, 0
	w.queue.lose(n, time.Now())
	w.queue.mu.Unlock()
	w.working(0, time.Time{})
	w.ended = fmt.Errorf("%d lines are lost: %w", n, err)
}

// finish writes the last line of the process and closes the file.
func (w *Writer) finish() {
	if w.ended == nil {
		w.ended = w.write(append(begin(nil, time.Now(), kindEnd), '\n'))
	}
	if w.dirty {
		w.ended = errors.Join(w.ended, w.file.Truncate(w.end.size))
	}
	w.ended = errors.Join(w.ended, w.file.Close())
}
