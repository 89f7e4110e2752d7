package e2e

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// logRows: requests are served, and log lines wait, or are lost and counted.
func logRows() []faultCase {
	lost := allowedOutcomes{detected: func(r *faultRun) bool { return r.gateway.lostLogLines() > 0 }}
	return []faultCase{
		logRow("reader paused", allowedOutcomes{detected: degradedPart("log")}, (*logReader).pause),
		logRow("reader gone", lost, (*logReader).close),
		{
			dependency: "log", fault: "disk full", storage: single, allowedOutcomes: lost, staysDegraded: true, begin: fillDisk,
			prepare: func(r *faultRun) []string {
				r.launch = func(settings ...string) *gateway {
					file, err := os.Create(filepath.Join(r.TempDir(), "log"))
					if err != nil {
						r.Fatal(err)
					}
					return r.stack.gatewayLoggingTo(file, settings...)
				}
				return nil
			},
		},
	}
}

// logRow is a row in which the reader of the log fails.
func logRow(fault string, p allowedOutcomes, fails func(*logReader) (end func())) faultCase {
	var reader *logReader
	return faultCase{
		dependency: "log", fault: fault, storage: embedded, allowedOutcomes: p, staysDegraded: true,
		prepare: func(r *faultRun) []string {
			r.launch = func(settings ...string) *gateway {
				var to *os.File
				reader, to = newLogReader(r.T)
				return r.stack.gatewayLoggingTo(to, settings...)
			}
			return nil
		},
		begin: func(*faultRun) func() { return fails(reader) },
	}
}

// logReader reads the log of a gateway and drops it.
type logReader struct {
	from    *os.File
	reading sync.Mutex // locked while it does not read
}

// newLogReader returns a reader, and the file that the log is written to.
func newLogReader(t *testing.T) (*logReader, *os.File) {
	t.Helper()
	r, w := pipe(t)
	l := &logReader{from: r}
	go l.read() // ends with the pipe, which the test closes
	return l, w
}

// read reads unless it is paused.
func (l *logReader) read() {
	room := make([]byte, 4<<10)
	for {
		l.reading.Lock()
		_, err := l.from.Read(room)
		l.reading.Unlock()
		if err != nil {
			return
		}
	}
}

// pause stops the reading.
func (l *logReader) pause() (end func()) {
	l.reading.Lock()
	return l.reading.Unlock
}

// close ends the reading permanently.
func (l *logReader) close() (end func()) {
	_ = l.from.Close()
	return func() {}
}
