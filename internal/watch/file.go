package watch

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// File is a file that was read.
type File struct {
	Name    string // base name
	Text    []byte
	Changed time.Time // when it was last modified; zero: unknown
}

// ReadFile reads the regular file at path, of at most limit bytes. It does not open a
// pipe or a device: opening one may block forever or have a side effect.
func ReadFile(path string, limit int) (File, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", path)
	}
	if err != nil {
		return File{}, err //nolint:wrapcheck // it names the path
	}
	if info.Size() > int64(limit) {
		return File{}, &LargeError{Path: path}
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe that has replaced the file must not block
	if err != nil {
		return File{}, err //nolint:wrapcheck // it names the path
	}
	defer func() { _ = f.Close() }() // only read
	text, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err != nil {
		return File{}, err //nolint:wrapcheck // it names the path
	}
	if len(text) > limit { // it has grown
		return File{}, &LargeError{Path: path}
	}
	return File{filepath.Base(path), text, info.ModTime()}, nil
}

// LargeError reports that a file has more bytes than allowed.
type LargeError struct{ Path string }

// Error implements error.
func (e *LargeError) Error() string { return e.Path + " is too large" }

// Hash returns a hash of names and contents.
func Hash(files []File) string {
	h := sha256.New()
	for _, f := range files {
		for _, part := range [][]byte{[]byte(f.Name), f.Text} {
			var size [8]byte
			binary.LittleEndian.PutUint64(size[:], uint64(len(part)))
			h.Write(size[:])
			h.Write(part)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Youngest returns the latest modification time of the files; zero if none is known.
func Youngest(files []File) (last time.Time) {
	for _, f := range files {
		if f.Changed.After(last) {
			last = f.Changed
		}
	}
	return last
}

// look returns a text that identifies the state of the files: a hash, or the error's
// text.
func look(files []File, err error) string {
	if err != nil {
		return err.Error()
	}
	return Hash(files)
}
