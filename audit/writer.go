package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

const (
	linger  = 20 * time.Millisecond // how long the first line of a batch waits for others
	retry   = time.Second           // between attempts to write
	block   = 256 << 10             // bytes of lines that are written and synced at once
	slow    = 5 * time.Second       // a line that waits longer is reported
	recalls = 10 * time.Minute      // how long lost lines are reported
)

// Options define a [Writer].
type Options struct {
	Path     string
	Secret   []byte // keys the checksums; nil: anyone who can write the file can make them
	Instance string // names this process in lines of kind begin and resume
	// OnChange is called when writing begins to fail, when it works again, and when
	// lines were lost. It may be nil.
	OnChange func(Change)
}

// Change is a change of the state of a [Writer].
type Change struct {
	Err  error  // why lines cannot be written; nil: they are written again
	Lost uint64 // lines lost since the last change
}

// Stats is the state of a [Writer].
type Stats struct {
	Lines    uint64        // written and synced since the start
	Lost     uint64        // not written, because the queue was full or the end had come
	LastLost time.Time     // when a line was last lost; zero: none was
	Waiting  uint64        // lines that are not synced yet
	Lag      time.Duration // how long the oldest of them has waited
	Seq      uint64        // number of the last line that was synced
	Head     Hash          // its hash
	Err      error         // why lines cannot be written; nil: they can
	Since    time.Time     // when Err first occurred
}

// Degraded returns why the audit file may lack lines, for readiness; empty if it does
// not.
func (s Stats) Degraded(now time.Time) string {
	switch {
	case s.Err != nil:
		return fmt.Sprintf("the audit file cannot be written since %s, see the log; %d lines wait, %d are lost",
			s.Since.UTC().Format(time.RFC3339), s.Waiting, s.Lost)
	case s.Lag > slow:
		return fmt.Sprintf("the disk of the audit file is slow: %d lines wait, %d are lost", s.Waiting, s.Lost)
	case s.Lost > 0 && now.Sub(s.LastLost) < recalls:
		return fmt.Sprintf("%d lines of the audit file are lost", s.Lost)
	}
	return ""
}

// Writer writes an audit file. Make it by [New] and end it by [Writer.Close]. It is a
// [record.Keeper]. It is safe for concurrent use.
type Writer struct {
	options Options
	open    func(path string) (file, error)
	queue   queue
	rooms   sync.Pool // of *[]byte, for one line

	// The fields below belong to the writing goroutine.
	seal  *seal
	file  file
	end   end
	dirty bool   // behind the end there may be bytes of a failed write
	out   []byte // sealed lines
	// Lost lines that OnChange has received, and the error of the end, which Close
	// reads after the goroutine.
	reported uint64
	ended    error

	reopens chan chan error
	stop    chan struct{}
	stopped chan struct{} // closed when the goroutine has ended
	once    sync.Once

	mu     sync.Mutex // guards the fields below
	state  Stats      // without the numbers of the queue
	busy   uint64     // lines being written
	oldest time.Time  // when the first of them was added
}

// New opens the file at Options.Path, or makes it with mode 0600, and takes its lock. A
// file that exists is continued: its last lines are checked, and an incomplete last
// line is replaced by one of kind torn. It fails if the end of the file is damaged, was
// written with another secret, or if another process has the lock.
func New(o Options) (*Writer, error) { return newWriter(o, open) }

func newWriter(o Options, open func(path string) (file, error)) (*Writer, error) {
	w := &Writer{
		options: o, open: open, queue: queue{wake: make(chan struct{}, 1)}, seal: newSeal(o.Secret),
		rooms:   sync.Pool{New: func() any { return new([]byte) }},
		reopens: make(chan chan error), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	f, err := open(o.Path)
	if err != nil {
		return nil, err
	}
	w.file = f
	if err := w.resume(time.Now()); err != nil {
		if w.dirty {
			err = errors.Join(err, f.Truncate(w.end.size))
		}
		return nil, errors.Join(err, f.Close())
	}
	go w.run() // until Close
	return w, nil
}

// resume writes the lines with which a process begins or continues a file.
func (w *Writer) resume(now time.Time) error {
	last, torn, err := readEnd(w.file, w.seal)
	if err != nil {
		return err
	}
	w.end = last
	w.dirty = len(torn) > 0 // so that it is cut off
	kind := kindResume
	if last.size == 0 {
		kind = kindBegin
	}
	lines := append(begin(nil, now, kind).text("instance", w.options.Instance), '\n')
	if len(torn) > 0 {
		lines = append(begin(lines, now, kindTorn).tornFields(torn), '\n')
	}
	return w.write(lines)
}

// Reopen begins a new file at Options.Path if the former one was renamed; otherwise it
// keeps the file. The first line of the new file continues the chain. If it fails, the
// former file stays in use.
func (w *Writer) Reopen(ctx context.Context) error {
	done := make(chan error, 1)
	select {
	case w.reopens <- done:
	case <-w.stopped:
		return errors.New("the audit file is closed")
	case <-ctx.Done():
		return fmt.Errorf("reopening the audit file: %w", ctx.Err())
	}
	return <-done
}

// Close writes the waiting lines and closes the file. It returns why lines were lost.
// If ctx ends before, the lines may or may not be written.
func (w *Writer) Close(ctx context.Context) error {
	w.once.Do(func() {
		w.queue.close(time.Now())
		close(w.stop)
	})
	select {
	case <-w.stopped:
		return w.ended
	case <-ctx.Done():
		return fmt.Errorf("closing the audit file: %w", ctx.Err())
	}
}

// Stats returns the state of the writer.
func (w *Writer) Stats() Stats {
	now := time.Now()
	w.mu.Lock()
	s, oldest := w.state, w.oldest
	s.Waiting = w.busy
	w.mu.Unlock()
	w.queue.mu.Lock()
	defer w.queue.mu.Unlock()
	s.Waiting += w.queue.count
	s.Lost, s.LastLost = w.queue.lost, w.queue.last
	if oldest.IsZero() {
		oldest = w.queue.oldest
	}
	if !oldest.IsZero() {
		s.Lag = now.Sub(oldest)
	}
	return s
}

// write seals the lines and writes them to disk. If it fails, the end of the file is as
// before, and the lines can be written again.
func (w *Writer) write(lines []byte) error {
	next := w.end
	w.out = w.out[:0]
	for line := range bytes.Lines(lines) {
		next.seq++
		w.out, next.head = w.seal.appendTo(w.out, next.seq, next.head, line[:len(line)-1])
	}
	next.size += int64(len(w.out))
	if w.dirty {
		if err := w.file.Truncate(w.end.size); err != nil {
			return fmt.Errorf("writing the audit file: %w", err)
		}
	}
	w.dirty = true
	_, err := w.file.WriteAt(w.out, w.end.size)
	if err == nil {
		err = w.file.Sync() // after an error the bytes may be lost, so they are written again
	}
	if err != nil {
		w.dirty = w.file.Truncate(w.end.size) != nil // so that a reader finds whole lines
		return fmt.Errorf("writing the audit file: %w", err)
	}
	w.dirty = false
	w.mu.Lock()
	w.state.Lines += next.seq - w.end.seq
	w.state.Seq, w.state.Head = next.seq, next.head
	w.mu.Unlock()
	w.end = next
	return nil
}

// reopen begins a new file if the path leads to another one than before.
func (w *Writer) reopen() error {
	before, err := w.file.Stat()
	if err != nil {
		return fmt.Errorf("reopening the audit file: %w", err)
	}
	if at, err := os.Stat(w.options.Path); err == nil && os.SameFile(before, at) {
		return nil
	}
	f, err := w.open(w.options.Path)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && info.Size() > 0 {
		err = errors.New("the audit file was replaced by a file that is not empty")
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	old, end, dirty := w.file, w.end, w.dirty
	w.file, w.end.size, w.dirty = f, 0, false
	line := append(begin(nil, time.Now(), kindBegin).text("instance", w.options.Instance), '\n')
	if err := w.write(line); err != nil {
		w.file, w.end, w.dirty = old, end, dirty
		return errors.Join(err, f.Truncate(0), f.Close())
	}
	if dirty {
		err = old.Truncate(end.size)
	}
	return errors.Join(err, old.Close())
}

// file is an open audit file; a test replaces the one of the disk.
type file interface {
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	Stat() (os.FileInfo, error)
	Close() error
}

// end is the state of a chain after its last line.
type end struct {
	seq  uint64
	head Hash
	size int64 // of the file
}

// open opens or makes the file at path and takes its lock.
func open(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the audit file: %w", err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no regular file")
	}
	if err == nil {
		err = lock(f)
	}
	if err == nil && info.Size() == 0 {
		err = syncFolder(path)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the audit file %s: %w", path, err), f.Close())
	}
	return f, nil
}

// syncFolder writes the entry of a new file to disk.
func syncFolder(path string) error {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err //nolint:wrapcheck // by the caller
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// readEnd checks the last lines of a file, up to maxLine bytes, and returns the state
// after them. torn is the incomplete line behind them that a crash has left; it is not
// in the size. An error means that the file cannot be continued.
func readEnd(f file, s *seal) (e end, torn []byte, err error) {
	info, err := f.Stat()
	if err != nil {
		return e, nil, fmt.Errorf("reading the audit file: %w", err)
	}
	from := max(0, info.Size()-maxLine)
	text := make([]byte, info.Size()-from)
	if _, err := f.ReadAt(text, from); err != nil && !errors.Is(err, io.EOF) {
		return e, nil, fmt.Errorf("reading the audit file: %w", err)
	}
	c := newChain(s, "")
	if c.partial = from > 0; c.partial {
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	whole := text[:bytes.LastIndexByte(text, '\n')+1]
	for line := range bytes.Lines(whole) {
		if err = c.step(line[:len(line)-1]); err != nil {
			break
		}
	}
	switch {
	case err != nil:
	case c.summary.Lines == 0 && !begun(text):
		err = errors.New("it contains no whole line")
	case c.summary.Unchecked > 0:
		err = errors.New("its lines have macs, and there is no secret")
	}
	if err != nil {
		return e, nil, fmt.Errorf("the audit file cannot be continued, because its end is damaged "+
			"or belongs to another secret; rename it: %w", err)
	}
	torn = text[len(whole):]
	return end{c.summary.Last, c.summary.Head, info.Size() - int64(len(torn))}, torn, nil
}

// begun reports whether a file without a whole line is empty, or has only an
// incomplete first line, and not a file with another content.
func begun(text []byte) bool {
	n := min(len(text), len(lineStart))
	return string(text[:n]) == lineStart[:n]
}

// tornFields appends the members of the line that replaces an incomplete one: its
// length, its hash, and its text, of which the first 2 KiB are kept.
func (b fields) tornFields(torn []byte) fields {
	b = append(b, `,"bytes":`...)
	b = strconv.AppendInt(b, int64(len(torn)), 10)
	b = b.text("sha256", Hash(sha256.Sum256(torn)).String())
	return b.text("text", string(torn))
}
