package main

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// The bounds of a lineWriter.
const (
	linesWaiting = 4096        // lines that may wait for a reader
	linesFlush   = time.Second // the wait for a reader at the end
)

// lineWriter writes lines in the background, so that no request waits for a reader.
// Lines that do not fit are lost, and the next line states how many. It is safe for
// concurrent use.
type lineWriter struct {
	out   io.Writer
	lines chan []byte
	lost  atomic.Int64
	quit  chan struct{} // closed by close
	over  chan struct{} // closed when all lines are written
}

func newLineWriter(out io.Writer) *lineWriter {
	w := &lineWriter{
		out: out, lines: make(chan []byte, linesWaiting), quit: make(chan struct{}), over: make(chan struct{}),
	}
	go w.write() // ends with close; a write without a reader blocks until the process ends
	return w
}

// Write implements [io.Writer]. It never waits and never fails.
func (w *lineWriter) Write(p []byte) (int, error) {
	select {
	case w.lines <- append([]byte(nil), p...):
	default:
		w.lost.Add(1)
	}
	return len(p), nil
}

func (w *lineWriter) write() {
	defer close(w.over)
	for {
		select {
		case line := <-w.lines:
			w.put(line)
		case <-w.quit:
			for len(w.lines) > 0 {
				w.put(<-w.lines)
			}
			return
		}
	}
}

// put writes a line after the number of lines lost before it. Its error is ignored:
// there is nowhere to report it.
func (w *lineWriter) put(line []byte) {
	if n := w.lost.Swap(0); n > 0 {
		_, _ = fmt.Fprintf(w.out, "osemu: %d lines are missing here: standard error was not read in time\n", n)
	}
	_, _ = w.out.Write(line)
}

// close writes the waiting lines, as long as they are read.
func (w *lineWriter) close() {
	close(w.quit)
	select {
	case <-w.over:
	case <-time.After(linesFlush):
	}
}
