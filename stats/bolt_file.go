package stats

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync/atomic"

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
