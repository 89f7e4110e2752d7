package audit

import (
	"bytes"
	"errors"
	"fmt"
	"time"
)

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
