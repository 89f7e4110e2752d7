package telemetry

import (
	"bytes"
	"errors"
	"io"
	"sync/atomic"
	"time"
)

// consoleWithin bounds how long an export waits for whoever reads the console. Once one has waited in vain none waits until it is read again.
const consoleWithin = 2 * time.Second

// errUnread is a console that takes nothing.
var errUnread = errors.New("the console is not read")

// console is the way to a writer that gives up where it blocks, as a pipe does that nobody reads. What was begun is written when it is read again, so that
// lines stay whole. Safe for concurrent use.
type console struct {
	w     io.Writer
	turn  chan struct{} // holds one while a write is under way
	stuck atomic.Bool   // the write that is under way has been given up
}

func newConsole(w io.Writer) *console { return &console{w: w, turn: make(chan struct{}, 1)} }

// write writes p whole, or nothing of it for now.
func (c *console) write(p []byte) error {
	if c.stuck.Load() {
		return errUnread
	}
	late := time.NewTimer(consoleWithin)
	defer late.Stop()
	select {
	case c.turn <- struct{}{}:
	case <-late.C:
		return errUnread
	}
	written, text := make(chan error, 1), bytes.Clone(p)
	go func() { // ends when the text is written, which may be never: one goroutine at most
		_, err := c.w.Write(text)
		written <- err
		c.stuck.Store(false)
		<-c.turn
	}()
	select {
	case err := <-written:
		return err
	case <-late.C:
	}
	c.stuck.Store(true)
	select {
	case err := <-written: // at the last moment, perhaps before it was called stuck
		c.stuck.Store(false)
		return err
	default:
		return errUnread
	}
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
