package export

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"time"
)

// consoleWithin is how long an export waits for the console to be read. After one
// export has timed out, the next ones do not wait until the console is read again.
const consoleWithin = 2 * time.Second

// errUnread reports that the reader of the console does not read.
var errUnread = errors.New("the console is not read")

// console writes to a writer that may block, as a pipe without a reader does, and gives
// up then. A write that was started completes when the console is read again, so that
// lines stay whole. It is safe for concurrent use.
type console struct {
	w    io.Writer
	turn chan struct{} // holds an element during a write

	mu    sync.Mutex
	busy  bool // a write is running
	stuck bool // an export has timed out since the current write began
}

func newConsole(w io.Writer) *console { return &console{w: w, turn: make(chan struct{}, 1)} }

// write writes p as a whole, or returns an error.
func (c *console) write(p []byte) error {
	if c.isStuck() {
		return errUnread
	}
	late := time.NewTimer(consoleWithin)
	defer late.Stop()
	select {
	case c.turn <- struct{}{}:
	case <-late.C:
		c.giveUp()
		return errUnread
	}
	c.set(true)
	written, text := make(chan error, 1), bytes.Clone(p)
	go func() { // ends when the text is written, which may be never: one goroutine at most
		_, err := c.w.Write(text)
		written <- err
		c.set(false)
		<-c.turn
	}()
	select {
	case err := <-written:
		return err
	case <-late.C:
	}
	c.giveUp()
	select {
	case err := <-written: // at the last moment
		return err
	default:
		return errUnread
	}
}

// isStuck reports whether an export has timed out because of the current write.
func (c *console) isStuck() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stuck
}

// set records that a write begins or ends.
func (c *console) set(busy bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy, c.stuck = busy, false
}

// giveUp records that an export has timed out, unless the write has ended since.
func (c *console) giveUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stuck = c.busy
}

// signalConsole is the console of one exporter. It counts texts that are not written
// and returns no error, because the encoder of an exporter stops after its first error.
// It is safe for concurrent use.
type signalConsole struct {
	*console
	signal signal
	losses *losses
}

// Write implements [io.Writer]. The exporters write one span or log record at a time.
func (c signalConsole) Write(p []byte) (int, error) {
	if err := c.write(p); err != nil {
		held := 1
		if c.signal == signalMetrics {
			held = 0 // the next sums include it
		}
		c.losses.failed(c.signal, err, held)
	}
	return len(p), nil
}
