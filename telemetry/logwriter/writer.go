// Package logwriter writes the log to a writer that may block or fail, so that no
// exchange ever waits for a reader of the log.
//
// The idea a reader needs: lines wait in a queue with a bound, and lines without room
// are counted instead of waited for. The package knows lines, and nothing of their
// content.
package logwriter

import (
	"bytes"
	"io"
	"sync"
	"time"
)

const (
	logBytes = 4 << 20 // maximum size of the queue: the lines of about 5,000 exchanges
	// size of one write; up to this size a pipe with several writers keeps it whole
	// (PIPE_BUF, pipe(7))
	logBlock  = 4 << 10
	logSpare  = 64                    // maximum number of empty blocks kept for reuse
	logLinger = 10 * time.Millisecond // how long the first line waits for further lines
	logUnread = 2 * time.Second       // a longer write counts as blocked: the log is not read
)

// Writer writes log lines to a writer that may block or fail, such as standard error
// if it is a pipe without a reader. Write never waits for that writer: lines wait in a
// queue of 4 MiB. A goroutine, which exists only while lines wait, writes them ten
// milliseconds later, whole and in order, up to 4 KiB at a time. If a line does not fit
// into the queue, no further line is accepted until the queue is empty, so that there
// is one gap instead of many. Lost lines, also those of a failed write, are counted and
// reported by one line as soon as lines are written again. A process that crashes loses
// the queue; a process that ends calls [Writer.Flush]. It is safe for concurrent
// use.
type Writer struct {
	w      io.Writer
	notice func(lost int64) []byte

	mu         sync.Mutex    // guards the fields below
	queue      [][]byte      // blocks of whole lines for the writing goroutine
	spare      [][]byte      // empty blocks
	held       int           // capacity in bytes of the queued blocks and of the block being written
	writing    bool          // the goroutine is running
	written    chan struct{} // closed when the queue is written; nil: no Flush waits
	full       bool          // a line did not fit
	failing    bool          // the last write failed
	midLine    bool          // the last write failed within a line
	writeStart time.Time     // start of the current write; zero: none
	unreported int64         // lost lines that no notice has reported
	lost       int64
	last       time.Time // when the last line was lost
}

// State is the state of a [Writer].
type State struct {
	Lost   int64     // lines lost since the start
	Last   time.Time // when the last line was lost; zero: none was
	Unread time.Time // since when a write has been blocked, if for more than two seconds; zero: not blocked
}

// New returns a Writer that writes to w. It loses lines only while w does
// not accept them, or too slowly. notice returns the line, with its line feed, that
// reports the number of lost lines; nil: they are not reported in the log.
func New(w io.Writer, notice func(lost int64) []byte) *Writer {
	return &Writer{w: w, notice: notice}
}

// Write implements [io.Writer] for whole lines. It returns at once and never an error:
// lines that cannot be written are counted.
func (l *Writer) Write(lines []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.full || !l.room(len(lines)) {
		l.full = l.writing
		l.lose(lines)
		return len(lines), nil
	}
	last := &l.queue[len(l.queue)-1]
	*last = append(*last, lines...)
	if !l.writing {
		l.writing = true
		go l.work() // ends when the queue is empty; Flush waits for that
	}
	return len(lines), nil
}

// room makes room for n more bytes in the last block, and reports whether they are
// within the limit. The caller holds mu.
func (l *Writer) room(n int) bool {
	if at := len(l.queue) - 1; at >= 0 && cap(l.queue[at])-len(l.queue[at]) >= n {
		return true
	}
	if l.held+max(n, logBlock) > logBytes {
		return false
	}
	var block []byte
	if at := len(l.spare) - 1; at >= 0 && n <= logBlock {
		block, l.spare = l.spare[at], l.spare[:at]
	} else {
		block = make([]byte, 0, max(n, logBlock))
	}
	l.queue = append(l.queue, block)
	l.held += cap(block)
	return true
}

// Flush waits until all accepted lines have been written or have failed, but no longer
// than within.
func (l *Writer) Flush(within time.Duration) {
	l.mu.Lock()
	if !l.writing {
		l.mu.Unlock()
		return
	}
	if l.written == nil {
		l.written = make(chan struct{})
	}
	written := l.written
	l.mu.Unlock()
	late := time.NewTimer(within)
	defer late.Stop()
	select {
	case <-written:
	case <-late.C:
	}
}

// State returns the current state.
func (l *Writer) State() State {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := State{Lost: l.lost, Last: l.last}
	if !l.writeStart.IsZero() && time.Since(l.writeStart) > logUnread {
		s.Unread = l.writeStart
	}
	return s
}

// work writes until the queue is empty.
func (l *Writer) work() {
	<-time.After(logLinger)
	for {
		block, unreported := l.take()
		switch {
		case unreported > 0:
			l.report(unreported)
		case block != nil:
			l.write(block)
		default:
			return
		}
	}
}

// take returns the oldest block, or the number of lost lines to report before it. It
// returns no number while writes fail, or while the queue contains lines older than the
// gap. If it returns neither, the goroutine ends.
func (l *Writer) take() (block []byte, unreported int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.full = l.full && len(l.queue) > 0
	if l.unreported > 0 && !l.failing && !l.full && l.notice != nil {
		return nil, l.unreported
	}
	if len(l.queue) > 0 {
		block, l.queue = l.queue[0], l.queue[1:]
		return block, 0
	}
	l.queue, l.writing = nil, false
	if l.written != nil {
		close(l.written)
		l.written = nil
	}
	return nil, 0
}

// report writes a notice about lost lines.
func (l *Writer) report(lost int64) {
	_, err := l.put(l.notice(lost))
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failing = err != nil; !l.failing {
		l.unreported -= lost
	}
}

// write writes a block and counts the lines that could not be written.
func (l *Writer) write(block []byte) {
	n, err := l.put(block)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held -= cap(block)
	if l.failing = err != nil; l.failing {
		l.lose(block[n:])
	}
	if len(l.spare) < logSpare && cap(block) == logBlock {
		l.spare = append(l.spare, block[:0])
	}
}

// put writes text and returns how much of it was written. If the last write ended
// within a line, text begins on a new line.
func (l *Writer) put(text []byte) (n int, err error) {
	l.mu.Lock()
	midLine := l.midLine
	l.writeStart = time.Now()
	l.mu.Unlock()
	if midLine {
		_, err = l.w.Write([]byte{'\n'})
	}
	if err == nil {
		n, err = l.w.Write(text)
		midLine = err != nil && n > 0 && text[n-1] != '\n'
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writeStart, l.midLine = time.Time{}, midLine
	return n, err
}

// lose counts lines that are never written. The last line counts even without a line
// feed. The caller holds mu.
func (l *Writer) lose(lines []byte) {
	n := int64(bytes.Count(bytes.TrimSuffix(lines, []byte{'\n'}), []byte{'\n'}) + 1)
	l.lost += n
	l.unreported += n
	l.last = time.Now()
}
