package audit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"osgate/record"
)

// write returns the record of a write by app.
func write(n int) *record.Exchange {
	return &record.Exchange{
		ID: fmt.Sprint("request-", n), Start: time.Date(2026, 12, 1, 12, 0, 0, n, time.UTC), Method: "PUT", Operation: "putKey",
		Surface: record.SurfaceObjectStore, Principal: "app", Status: 200, Organization: "org", Environment: "env", Store: "store", Region: "us-east-1", Plane: "us",
	}
}

// opened returns a Writer of the file, which the test closes.
func opened(t testing.TB, o Options) *Writer {
	t.Helper()
	w, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close(t.Context()) })
	return w
}

func closed(t testing.TB, w *Writer) {
	t.Helper()
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func newPath(t testing.TB) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "audit.jsonl")
}

func content(t testing.TB, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// verified returns the summary of a whole file.
func verified(t testing.TB, path string, o VerifyOptions) Summary {
	t.Helper()
	s, err := Verify(bytes.NewReader(content(t, path)), o)
	if err != nil {
		t.Fatalf("%v\n%s", err, content(t, path))
	}
	return s
}

// await waits until the writer has synced that many lines.
func await(t testing.TB, w *Writer, lines uint64) {
	t.Helper()
	for began := time.Now(); w.Stats().Lines < lines; <-time.After(time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatalf("%+v; want %d lines", w.Stats(), lines)
		}
	}
}

// kinds returns the kinds of the lines of a file.
func kinds(t testing.TB, path string) string {
	t.Helper()
	var all []string
	for line := range bytes.Lines(content(t, path)) {
		p, _ := newSeal(nil).parse(bytes.TrimSuffix(line, []byte("\n")))
		all = append(all, p.Kind)
	}
	return strings.Join(all, " ")
}

// disk is a file whose writing the test makes fail.
type disk struct {
	file
	mu    sync.Mutex
	write error // of half a write
	sync  error
}

func (d *disk) set(write, sync error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.write, d.sync = write, sync
}

func (d *disk) WriteAt(b []byte, at int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.write != nil {
		n, err := d.file.WriteAt(b[:len(b)/2], at)
		return n, errors.Join(d.write, err)
	}
	return d.file.WriteAt(b, at)
}

func (d *disk) Sync() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return errors.Join(d.sync, d.file.Sync())
}
