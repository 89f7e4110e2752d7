package audit

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
)

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
