package telemetry

import (
	"bytes"
	"io"
	"sync"
	"time"
)

const (
	logBytes  = 4 << 20               // the most that waits to be written: the lines of some 5,000 exchanges
	logBlock  = 4 << 10               // one write: what is no longer than this stays whole in a pipe that others write to as well (PIPE_BUF, pipe(7))
	logSpare  = 64                    // blocks that are kept for the next lines
	logLinger = 10 * time.Millisecond // how long the first line waits for others to be written with it
	logUnread = 2 * time.Second       // a write that takes longer waits for somebody who does not read
)

// LogWriter is the way of log lines to a writer that may block or fail, as standard error does where it is a pipe that nobody reads. Write never waits for
// that writer: lines wait in a queue of 4 MiB, and a goroutine that there is only while any do writes them ten milliseconds later, whole and in order, as many
// at a time as fit into 4 KiB. Once a line finds no room none is taken until all that waits is written, so that there is one gap and not many. What is
// lost, so or by a write that fails, is counted, and told by one line as soon as lines are written again. A process that crashes loses what waits; one
// that ends calls [LogWriter.Flush]. Safe for concurrent use.
type LogWriter struct {
	w      io.Writer
	notice func(lost int64) []byte

	mu      sync.Mutex    // guards all below
	queue   [][]byte      // blocks of whole lines that the writing goroutine has not taken yet
	spare   [][]byte      // empty blocks
	held    int           // bytes of the blocks that wait, and of the one that the goroutine has taken
	writing bool          // the goroutine runs
	written chan struct{} // closed when all is written; nil: nobody waits for that
	full    bool          // a line has found no room
	failing bool          // the last write failed
	torn    bool          // it did so within a line
	begun   time.Time     // when the write that is under way was begun; zero: none is
	untold  int64         // lines lost that no notice has told yet
	lost    int64
	last    time.Time // when a line was last lost
}

// LogState is how the lines of a log get to their writer.
type LogState struct {
	Lost   int64     // lines that were never written, since the start
	Last   time.Time // when the last of them was lost; zero: none was
	Unread time.Time // since when a write waits for somebody to read, if for more than two seconds; zero: none does
}

// NewLogWriter returns a LogWriter to w, from which a line is lost only while it takes none, or too slowly. notice makes the line, its line feed included,
// that tells how many were; nil: none does.
func NewLogWriter(w io.Writer, notice func(lost int64) []byte) *LogWriter {
	return &LogWriter{w: w, notice: notice}
}

// Write implements [io.Writer] for whole lines. It returns at once and never an error: what cannot be written is counted.
func (l *LogWriter) Write(lines []byte) (int, error) {
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
		go l.work() // ends when nothing waits; Flush waits for that
	}
	return len(lines), nil
}

// room makes sure that the last block has room for n bytes more, and reports whether that is within the bound. The caller holds mu.
func (l *LogWriter) room(n int) bool {
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

// Flush waits until all lines that were taken so far have been written or have failed, but no longer than within.
func (l *LogWriter) Flush(within time.Duration) {
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

// State returns how it fares.
func (l *LogWriter) State() LogState {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := LogState{Lost: l.lost, Last: l.last}
	if !l.begun.IsZero() && time.Since(l.begun) > logUnread {
		s.Unread = l.begun
	}
	return s
}

// work writes until nothing waits.
func (l *LogWriter) work() {
	<-time.After(logLinger)
	for {
		block, untold := l.take()
		switch {
		case untold > 0:
			l.tell(untold)
		case block != nil:
			l.write(block)
		default:
			return
		}
	}
}

// take returns the block that has waited longest, or how many lost lines are to be told before it: none while writes fail, or while what waits is older
// than the gap. With neither the goroutine is over.
func (l *LogWriter) take() (block []byte, untold int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.full = l.full && len(l.queue) > 0
	if l.untold > 0 && !l.failing && !l.full && l.notice != nil {
		return nil, l.untold
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

// tell writes that lines were lost.
func (l *LogWriter) tell(lost int64) {
	_, err := l.put(l.notice(lost))
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failing = err != nil; !l.failing {
		l.untold -= lost
	}
}

// write writes a block and counts the lines of it that it could not write.
func (l *LogWriter) write(block []byte) {
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

// put writes text, on a line of its own where the last write ended within one, and returns how much of it was written.
func (l *LogWriter) put(text []byte) (n int, err error) {
	l.mu.Lock()
	torn := l.torn
	l.begun = time.Now()
	l.mu.Unlock()
	if torn {
		_, err = l.w.Write([]byte{'\n'})
	}
	if err == nil {
		n, err = l.w.Write(text)
		torn = err != nil && n > 0 && text[n-1] != '\n'
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begun, l.torn = time.Time{}, torn
	return n, err
}

// lose counts lines that are never written, the last one also where it ends in no line feed. The caller holds mu.
func (l *LogWriter) lose(lines []byte) {
	n := int64(bytes.Count(bytes.TrimSuffix(lines, []byte{'\n'}), []byte{'\n'}) + 1)
	l.lost += n
	l.untold += n
	l.last = time.Now()
}
