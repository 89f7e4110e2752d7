package telemetry

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"time"
)

// consoleWithin bounds how long an export waits for a reader of the console. Once one has waited in vain none waits until the console is read again.
const consoleWithin = 2 * time.Second

// errUnread is a console that takes nothing.
var errUnread = errors.New("the console is not read")

// console writes to a writer that may block, as a pipe does that nobody reads, and gives up then. A write that has begun is finished when the console is
// read again, so that lines stay whole. Safe for concurrent use.
type console struct {
	w    io.Writer
	turn chan struct{} // holds one while a write is under way

	mu    sync.Mutex
	busy  bool // a write is under way
	stuck bool // an export has waited in vain since the write that is under way began
}

func newConsole(w io.Writer) *console { return &console{w: w, turn: make(chan struct{}, 1)} }

// write writes p whole, or nothing of it for now.
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

// isStuck reports whether an export has waited in vain for the write that is under way.
func (c *console) isStuck() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stuck
}

// set notes that a write begins or ends.
func (c *console) set(busy bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy, c.stuck = busy, false
}

// giveUp notes that an export has waited in vain, unless the write has ended meanwhile.
func (c *console) giveUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stuck = c.busy
}

// consoleOf is the console of one exporter. What is not written is counted here and nothing is returned, because an exporter whose encoder has met one error
// writes no more. Safe for concurrent use.
type consoleOf struct {
	*console
	signal signal
	losses *losses
}

// Write implements [io.Writer]. The exporters write a span or a log record at a time.
func (c consoleOf) Write(p []byte) (int, error) {
	if err := c.write(p); err != nil {
		held := 1
		if c.signal == signalMetrics {
			held = 0 // it is part of the next sums
		}
		c.losses.failed(c.signal, err, held)
	}
	return len(p), nil
}
