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
