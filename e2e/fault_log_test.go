package e2e

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// logRows: requests go on, and lines wait, or are lost and counted.
func logRows() []breakdown {
	lost := promise{noticed: func(r *ordeal) bool { return r.gateway.linesLost() > 0 }}
	return []breakdown{
		logRow("nobody reads", promise{noticed: readiness("log")}, (*logReader).pause),
		logRow("reader gone", lost, (*logReader).leave),
		{
			dependency: "log", fault: "disk full", storage: single, promise: lost, lingers: true, begin: fullDisk,
			prepare: func(r *ordeal) []string {
				r.launch = func(settings ...string) *gateway {
					file, err := os.Create(filepath.Join(r.TempDir(), "log"))
					if err != nil {
						r.Fatal(err)
					}
					return r.stack.gatewayLogging(file, settings...)
				}
				return nil
			},
		},
	}
}

// logRow is a row in which it is the reader of the log that fails.
func logRow(fault string, p promise, fails func(*logReader) (end func())) breakdown {
	var reader *logReader
	return breakdown{
		dependency: "log", fault: fault, storage: embedded, promise: p, lingers: true,
		prepare: func(r *ordeal) []string {
			r.launch = func(settings ...string) *gateway {
				var to *os.File
				reader, to = newLogReader(r.T)
				return r.stack.gatewayLogging(to, settings...)
			}
			return nil
		},
		begin: func(*ordeal) func() { return fails(reader) },
	}
}

// logReader reads the log of a gateway and drops it.
type logReader struct {
	from *os.File
	may  sync.Mutex // held while it does not read
}

// newLogReader returns a reader, and where the log goes to.
func newLogReader(t *testing.T) (*logReader, *os.File) {
	t.Helper()
	r, w := pipe(t)
	l := &logReader{from: r}
	go l.read() // ends with the pipe, which the test closes
	return l, w
}

// read reads while it may.
func (l *logReader) read() {
	room := make([]byte, 4<<10)
	for {
		l.may.Lock()
		_, err := l.from.Read(room)
		l.may.Unlock()
		if err != nil {
			return
		}
	}
}

// pause stops the reading.
func (l *logReader) pause() (end func()) {
	l.may.Lock()
	return l.may.Unlock
}

// leave ends the reading for ever.
func (l *logReader) leave() (end func()) {
	_ = l.from.Close()
	return func() {}
}
