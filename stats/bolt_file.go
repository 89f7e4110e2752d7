package stats

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
)

// maxBoltReads bounds the concurrent read transactions on a file.
const maxBoltReads = 8

var (
	errNoFile = errors.New("no file could be opened")
	errHangs  = errors.New("earlier transactions have not ended; the disk may not respond")
)

// slots bounds how many goroutines do something at one time: one element for each of
// them.
type slots chan struct{}

// take waits for a slot until ctx ends. The caller must call free after a nil error.
func (s slots) take(ctx context.Context) error {
	select {
	case s <- struct{}{}:
		return nil
	case <-ctx.Done():
		return errHangs
	}
}

func (s slots) free() { <-s }

// openFile is a statistics file that is open.
type openFile struct {
	db     *bolt.DB
	handle *os.File    // the file that db reads and writes
	info   os.FileInfo // of handle, when it was opened
	size   int64       // the largest size seen at the path, in bytes; bbolt never makes a file shorter

	reads, writes slots         // of running transactions
	held          atomic.Uint64 // operations counted in the file

	// damaged is true once a transaction has found a page that does not belong to a
	// statistics file. After that bbolt may hold locks forever, so db must not be used
	// any more.
	damaged atomic.Bool
}

// take opens the file for bbolt and keeps the handle. It is an OpenFile function of
// [bolt.Options].
func (f *openFile) take(path string, flag int, mode os.FileMode) (*os.File, error) {
	handle, err := os.OpenFile(path, flag, mode)
	if err != nil {
		return nil, err
	}
	if f.info, err = handle.Stat(); err != nil {
		return nil, errors.Join(err, handle.Close())
	}
	f.handle = handle
	return handle, nil
}

// transact calls do, which runs one transaction on f. If the file was cut or the disk
// cannot read it, the process gets a memory fault on mapped memory, or bbolt panics on
// a page. Both end the transaction with errDamaged instead of ending the process.
func (f *openFile) transact(ctx context.Context, of slots, do func(*bolt.DB) error) (err error) {
	if err := of.take(ctx); err != nil {
		return err
	}
	defer of.free()
	if f.damaged.Load() {
		return errDamaged
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			f.damaged.Store(true)
			err = fmt.Errorf("%w: %s", errDamaged, fault(p))
		}
	}()
	return do(f.db)
}

// write runs f in a transaction that is on the disk when write returns nil. It first
// replaces the file if necessary.
func (s *Bolt) write(ctx context.Context, f func(*openFile, *bolt.Tx) error) error {
	_, err := bounded(ctx, "writing statistics file", func() (none struct{}, err error) {
		file, err := s.current(ctx)
		if err != nil {
			return none, err
		}
		return none, file.transact(ctx, file.writes, func(db *bolt.DB) error {
			return db.Update(func(tx *bolt.Tx) error { return f(file, tx) })
		})
	})
	return err
}

// read returns the result of f on a consistent view of the file.
func read[T any](ctx context.Context, s *Bolt, f func(*bolt.Tx) (T, error)) (T, error) {
	return bounded(ctx, "reading statistics file", func() (result T, err error) {
		file := s.open.Load()
		if file == nil {
			return result, errNoFile
		}
		err = file.transact(ctx, file.reads, func(db *bolt.DB) error {
			return db.View(func(tx *bolt.Tx) (err error) {
				result, err = f(tx)
				return err
			})
		})
		return result, err
	})
}

// bounded runs f and waits for it until ctx ends, because bbolt cannot be interrupted
// and a disk may hang. After that f keeps running, and its result is dropped. Every
// error of f is wrapped in [ErrUnavailable].
func bounded[T any](ctx context.Context, doing string, f func() (T, error)) (none T, err error) {
	if err := ctx.Err(); err != nil {
		return none, fmt.Errorf("%s: %w", doing, err)
	}
	type outcome struct {
		result T
		err    error
	}
	ended := make(chan outcome, 1)
	go func() { // ends with f: with ctx until f has a slot, and there are few slots
		result, err := f()
		ended <- outcome{result, err}
	}()
	select {
	case o := <-ended:
		if o.err != nil {
			return none, fmt.Errorf("%w: %s: %w", ErrUnavailable, doing, o.err)
		}
		return o.result, nil
	case <-ctx.Done():
		return none, fmt.Errorf("%w: %s: %w", ErrUnavailable, doing, ctx.Err())
	}
}

const (
	// replacePause is the shortest time between two damaged files: a disk that keeps
	// failing must not be filled with files.
	replacePause = time.Minute
	// copyBytes is the number of bytes that one transaction copies when a file is
	// restored.
	copyBytes = 1 << 20
)

// Lost returns the number of operations in files abandoned since the start, because
// they were damaged or replaced by another file.
func (s *Bolt) Lost() uint64 { return s.lost.Load() }

// current returns the file to write to. It checks the path first:
//
//   - The file exists: it is returned.
//   - The file or its directory was removed: both are created again with the content of
//     the open file, which the system keeps while it is open. No counts are lost.
//   - Another file exists: it is opened, and the counts of the former file are lost.
//   - The file is damaged, or shorter than before: it is renamed and replaced by an
//     empty one, at most once a minute.
//   - The path cannot be checked: the error is returned, and the file stays open.
//
// After an error the next call tries again.
func (s *Bolt) current(ctx context.Context) (*openFile, error) {
	if err := s.replacing.take(ctx); err != nil {
		return nil, err
	}
	defer s.replacing.free()
	if s.closed.Load() {
		return nil, fs.ErrClosed
	}
	file := s.open.Load()
	if file == nil {
		return s.adopt(s.openNow(time.Now()))
	}
	info, err := os.Stat(s.path)
	same := err == nil && os.SameFile(info, file.info)
	switch {
	case file.damaged.Load() || same && info.Size() < file.size:
		return s.replaceDamaged(file, same, time.Now())
	case same:
		file.size = info.Size()
		return file, nil
	case errors.Is(err, fs.ErrNotExist):
		return s.restore(ctx, file)
	case err != nil:
		return nil, err
	}
	made, err := s.openNow(time.Now())
	if err != nil {
		return nil, err
	}
	s.logger.Warn("another statistics file replaced the open one; counting continues in it",
		slog.String("file", s.path), slog.Uint64("lost", file.held.Load()))
	s.lost.Add(file.held.Load())
	s.exchange(file, made)
	return made, nil
}

// exchange makes another file the open one and closes the former, which is undamaged:
// it can be read until then.
func (s *Bolt) exchange(former, file *openFile) {
	s.open.Store(file)
	if err := former.db.Close(); err != nil {
		s.logger.Warn("the former statistics file could not be closed", slog.Any("error", err))
	}
}

// adopt makes file the open one.
func (s *Bolt) adopt(file *openFile, err error) (*openFile, error) {
	if err == nil {
		s.open.Store(file)
	}
	return file, err
}

// giveUp abandons file. Its counts are lost.
func (s *Bolt) giveUp(file *openFile) {
	s.open.Store(nil)
	s.lost.Add(file.held.Load())
	file.damaged.Store(true)
	// Only the descriptor is closed and the mapping stays: bbolt's own Close waits for
	// locks that a transaction on a damaged file may hold forever.
	_ = file.handle.Close()
}

// replaceDamaged moves a damaged file aside, if it is still at the path, and opens an
// empty one.
func (s *Bolt) replaceDamaged(file *openFile, atPath bool, now time.Time) (*openFile, error) {
	if !s.replaced.IsZero() && now.Sub(s.replaced) < replacePause {
		return nil, fmt.Errorf("%w again; the next file is made %v after the last", errDamaged, replacePause)
	}
	if atPath {
		damage := errors.New("it was cut off or cannot be read while it is in use")
		if err := s.moveAside(damage, now); err != nil {
			return nil, err
		}
	}
	s.replaced = now
	s.giveUp(file)
	return s.adopt(s.openNow(now))
}

// restore creates a removed file again, with the content of the open one.
func (s *Bolt) restore(ctx context.Context, file *openFile) (*openFile, error) {
	made, err := s.copyOf(ctx, file)
	if err != nil {
		return nil, fmt.Errorf("making the removed statistics file again: %w", err)
	}
	s.logger.Warn("the statistics file was removed while it was open; it was made again with all its counts",
		slog.String("file", s.path))
	s.exchange(file, made)
	return made, nil
}

// copyOf writes the content of file to s's path, completely or not at all, and opens
// the copy.
func (s *Bolt) copyOf(ctx context.Context, file *openFile) (*openFile, error) {
	if err := os.MkdirAll(filepath.Dir(s.path), 0o700); err != nil {
		return nil, err
	}
	part := s.path + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	to, err := bolt.Open(part, 0o600, &bolt.Options{Timeout: boltLock, FreelistType: bolt.FreelistMapType})
	if err != nil {
		return nil, err
	}
	err = file.transact(ctx, file.reads, func(db *bolt.DB) error { return bolt.Compact(to, db, copyBytes) })
	if err = errors.Join(err, to.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(part))
	}
	if err := os.Rename(part, s.path); err != nil {
		return nil, err
	}
	return openChecked(s.path)
}
