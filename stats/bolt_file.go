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

// maxBoltReads bounds the transactions that read a file at one time.
const maxBoltReads = 8

var (
	errNoFile = errors.New("no file could be opened")
	errHangs  = errors.New("the transactions before this one do not end; does the disk answer?")
)

// slots bound how many do something at one time: one element for each that does.
type slots chan struct{}

// take waits for a slot as long as ctx lasts. The caller must call free after nil.
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
	handle *os.File    // what db reads and writes
	info   os.FileInfo // of handle, when it was opened
	size   int64       // the largest size seen at the path, in bytes; bbolt never makes a file shorter

	reads, writes slots         // of transactions under way
	held          atomic.Uint64 // operations that it counts

	// damaged is true once a transaction has met what is no page of a statistics file. bbolt
	// may hold locks for ever then, so that nothing may be called on db any more.
	damaged atomic.Bool
}

// take opens the file for bbolt and remembers it. It is an OpenFile of [bolt.Options].
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

// transact runs do, which is one transaction on f. A file that is cut off or that the disk
// cannot read shows as a fault of mapped memory, or as a page that bbolt panics at. Either
// ends the transaction with errDamaged and not the process.
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

// write runs f in a transaction that is on the disk when write returns nil. It replaces the
// file first, where that is needed.
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

// read returns what f reads of a consistent view of the file.
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

// bounded runs f, and waits for it as long as ctx lasts: bbolt cannot be interrupted, and a
// disk may hang. f goes on then, and what it returns is dropped. Every error of f wraps
// [ErrUnavailable] in what bounded returns.
func bounded[T any](ctx context.Context, doing string, f func() (T, error)) (none T, err error) {
	if err := ctx.Err(); err != nil {
		return none, fmt.Errorf("%s: %w", doing, err)
	}
	type outcome struct {
		result T
		err    error
	}
	ended := make(chan outcome, 1)
	go func() { // ends with f: with ctx until it has a slot, of which there are few
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
