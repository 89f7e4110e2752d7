package stats

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
)

const (
	// replacePause is the shortest time between two damaged files: a disk that fails all
	// the time must not fill itself with files.
	replacePause = time.Minute
	// copyBytes is how much one transaction copies into a file that is made again.
	copyBytes = 1 << 20
)

// Lost returns how many operations were counted in files that were given up since the
// start: damaged, or replaced by another file.
func (s *Bolt) Lost() uint64 { return s.lost.Load() }

// current returns the file to write to. It looks at the path first:
//
//   - The file is there: it is returned.
//   - The file was removed, or its directory: both are made again with all that the open
//     file holds, which the system keeps while it is open. Nothing is lost.
//   - Another file is there: that one is opened, and what the former one holds is lost.
//   - The file is damaged, or is shorter than it was: it is renamed and an empty one takes
//     its place, at most once a minute.
//   - The path cannot be looked at: the error is returned, and the file stays open.
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
	s.logger.Warn("another statistics file has taken the place of the open one; counting goes on in it",
		slog.String("file", s.path), slog.Uint64("lost", file.held.Load()))
	s.lost.Add(file.held.Load())
	s.exchange(file, made)
	return made, nil
}

// exchange makes another file the open one and closes the former, which is whole: it is
// read until then.
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

// giveUp stops using file. What it counts is lost.
func (s *Bolt) giveUp(file *openFile) {
	s.open.Store(nil)
	s.lost.Add(file.held.Load())
	file.damaged.Store(true)
	// Only the descriptor is closed, and the mapping stays: bbolt's own Close waits for
	// locks that a transaction which met damage may hold for ever.
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

// restore makes a removed file again, with all that the open one holds.
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

// copyOf writes what file holds to s's path, whole or not at all, and opens it there.
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
