package logwriter_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"osgate/telemetry/logwriter"
)

// lockedBuffer is a log for several goroutines.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

// Write implements [io.Writer].
func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *lockedBuffer) lines() []string {
	return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
}

// blockedWriter is a writer that blocks, as a full pipe does, until open is closed.
type blockedWriter struct {
	open chan struct{}
	lockedBuffer
}

func newBlockedWriter() *blockedWriter { return &blockedWriter{open: make(chan struct{})} }

func (g *blockedWriter) Write(p []byte) (int, error) {
	<-g.open
	return g.lockedBuffer.Write(p)
}

func lostNotice(lost int64) []byte { return fmt.Appendf(nil, "%d lost\n", lost) }

// numbered returns the i-th line, about as long as the line of an exchange.
func numbered(i int) string { return fmt.Sprintf("%06d %s", i, strings.Repeat("x", 600)) }

func writeNumbered(t *testing.T, l *logwriter.Writer, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if n, err := fmt.Fprintln(l, numbered(i)); err != nil || n != 608 {
			t.Fatalf("line %d: %d, %v", i, n, err)
		}
	}
}

// Lines that fit into the queue are written when the log is read again, one line
// reports the lost ones, and then the log continues.
func TestAnUnreadLogDoesNotBlockWriters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBlockedWriter()
		l, began := logwriter.New(w, lostNotice), time.Now()
		writeNumbered(t, l, 0, 20_000)
		<-time.After(time.Second)
		if s := l.State(); !s.Unread.IsZero() {
			t.Errorf("after a second it counts as unread since %v", s.Unread)
		}
		<-time.After(2 * time.Second)
		writeNumbered(t, l, 20_000, 20_010)
		s := l.State()
		if s.Unread.Sub(began) > time.Second || !s.Last.Equal(time.Now()) {
			t.Errorf("after 3 s: %+v", s)
		}
		kept := 20_010 - int(s.Lost)
		if room := kept * 608; room > 4<<20 || room < 3<<20 {
			t.Errorf("%d lines wait, %d bytes", kept, room)
		}
		close(w.open)
		l.Flush(time.Second)
		writeNumbered(t, l, 20_010, 20_012)
		l.Flush(time.Second)
		want := make([]string, 0, kept+3)
		for i := range kept {
			want = append(want, numbered(i))
		}
		want = append(want, fmt.Sprint(s.Lost, " lost"), numbered(20_010), numbered(20_011))
		if got := w.lines(); !slices.Equal(got, want) {
			t.Errorf("%d lines were written, the last %q; want %d", len(got), got[len(got)-1], len(want))
		}
		<-time.After(3 * time.Second)
		if now := l.State(); now.Lost != s.Lost || !now.Unread.IsZero() || now.Last != s.Last {
			t.Errorf("read again: %+v, want %d lost", now, s.Lost)
		}
	})
}

// The end of a process waits in this way.
func TestWaitingForAReaderEndsWithTheTimeForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBlockedWriter()
		l, began := logwriter.New(w, nil), time.Now()
		l.Flush(time.Minute)
		if took := time.Since(began); took != 0 {
			t.Errorf("with nothing to write it took %v", took)
		}
		writeNumbered(t, l, 0, 1)
		l.Flush(2 * time.Second)
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("without a reader it took %v, want 2 s", took)
		}
		time.AfterFunc(time.Second, func() { close(w.open) })
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() { l.Flush(time.Minute) })
		}
		all.Wait()
		if took := time.Since(began); took != 3*time.Second || len(w.lines()) != 1 {
			t.Errorf("it took %v and wrote %d lines, want 3 s and one", took, len(w.lines()))
		}
	})
}

// slowWriter is a slow writer that keeps the text of each write.
type slowWriter struct{ writes []string }

func (s *slowWriter) Write(p []byte) (int, error) {
	<-time.After(time.Millisecond)
	s.writes = append(s.writes, string(p))
	return len(p), nil
}

// Each write has as many lines as a pipe with several writers keeps whole.
func TestABurstIsWrittenWholeAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w slowWriter
		l := logwriter.New(&w, lostNotice)
		long := strings.Repeat("y", 10_000)
		writeNumbered(t, l, 0, 3000)
		_, _ = fmt.Fprintln(l, long)
		writeNumbered(t, l, 3000, 6000)
		l.Flush(time.Minute)
		var want strings.Builder
		for i := range 6000 {
			if i == 3000 {
				fmt.Fprintln(&want, long)
			}
			fmt.Fprintln(&want, numbered(i))
		}
		if strings.Join(w.writes, "") != want.String() || l.State().Lost != 0 {
			t.Errorf("what was written is not what was logged; %d lines were lost", l.State().Lost)
		}
		for _, text := range w.writes {
			if len(text) > 4096 && text != long+"\n" || !strings.HasSuffix(text, "\n") {
				t.Errorf("one write has %d bytes and ends in %q", len(text), text[len(text)-1:])
			}
		}
		if len(w.writes) > 6000/6+10 {
			t.Errorf("%d writes", len(w.writes))
		}
	})
}

// fullDisk is a file on a disk with room for a number of bytes.
type fullDisk struct {
	room int
	cut  int // number of partial writes
	lockedBuffer
}

func (f *fullDisk) Write(p []byte) (int, error) {
	n := min(f.room, len(p))
	f.room -= n
	_, _ = f.lockedBuffer.Write(p[:n])
	if n < len(p) {
		f.cut++
		return n, errors.New("no space left on device")
	}
	return n, nil
}

// The line that was cut off ends there.
func TestLinesLostOnAFullDiskAreCountedAndReportedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &fullDisk{room: 20}
		l := logwriter.New(w, lostNotice)
		log := func(text string) { _, _ = io.WriteString(l, text); l.Flush(time.Second) }
		log("one\ntwo\n")
		log("three\nfour, which is cut\nfive\n")
		log("six\n")
		if s := l.State(); s.Lost != 3 || s.Last.IsZero() {
			t.Errorf("on a full disk: %+v, want 3 lost", s)
		}
		w.room = 1 << 10
		log("seven\n")
		log("eight\n")
		if want := "one\ntwo\nthree\nfour, \nseven\n3 lost\neight\n"; w.String() != want {
			t.Errorf("wrote\n%s\nwant\n%s", w.String(), want)
		}
		if got := l.State().Lost; got != 3 {
			t.Errorf("%d lost, want 3", got)
		}
	})
}

// Other lines are not lost.
func TestALineThatIsLargerThanTheQueueIsLostAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w lockedBuffer
		l := logwriter.New(&w, lostNotice)
		_, _ = l.Write(bytes.Repeat([]byte{'z'}, 4<<20+1))
		_, _ = io.WriteString(l, "next\n")
		l.Flush(time.Second)
		if got := w.String(); got != "1 lost\nnext\n" {
			t.Errorf("wrote %q", got)
		}
	})
}

// For any behavior of the writer, the written lines are in order and the rest is
// counted.
func FuzzEveryLineIsWrittenOrCounted(f *testing.F) {
	f.Add([]byte{1, 200, 0, 3, 0, 9, 255}, uint16(300))
	f.Add([]byte{0, 0, 0, 50, 1, 1}, uint16(0))
	f.Fuzz(func(t *testing.T, script []byte, room uint16) {
		synctest.Test(t, func(t *testing.T) {
			w := &fullDisk{room: int(room)}
			l := logwriter.New(w, lostNotice)
			var logged []string
			for i, step := range script {
				switch step % 4 {
				case 0:
					l.Flush(time.Second)
					w.room = 50 * int(step)
				case 1:
					l.Flush(time.Second)
				default:
					for range step {
						logged = append(logged, fmt.Sprintf("line %d of step %d", len(logged), i))
						_, _ = fmt.Fprintln(l, logged[len(logged)-1])
					}
				}
			}
			l.Flush(time.Second)
			all, whole := len(logged), 0
			for _, line := range w.lines() { // a text that is not in logged is a notice or a part of a line
				if i := slices.Index(logged, line); i >= 0 {
					logged = logged[i+1:]
					whole++
				}
			}
			lost := int(l.State().Lost)
			if least := all - lost; whole < least || whole > least+w.cut { // a line that lacks only its line feed is counted
				t.Fatalf("%d lines of %d were written in order, and %d counted as lost", whole, all, lost)
			}
		})
	})
}
