package stats

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// CheckBolt returns the error that [OpenBolt] would return for the folder dir, as far as
// it can be found without a change: no rights to the folder or the file, a path that
// leads elsewhere, or a file of a newer format. It creates nothing, and does not wait
// for a process that has the file open, which is no error here. The format of such a
// file is not checked.
func CheckBolt(dir string) error {
	path := filepath.Join(dir, boltFile)
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return creatable(dir)
	}
	if err != nil {
		return fmt.Errorf("opening statistics file: %w", err)
	}
	info, err := file.Stat()
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("opening statistics file: %w", err)
	}
	if info.Size() == 0 {
		return nil // of a process that ended before its first write
	}
	if err := checkFormat(path); err != nil {
		return fmt.Errorf("reading statistics file %s: %w", path, err)
	}
	return nil
}

// creatable returns an error if this process may not create a file in dir, or dir
// itself.
func creatable(dir string) error {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) && dir != filepath.Dir(dir) {
		return creatable(filepath.Dir(dir))
	}
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a folder", dir)
	}
	if err == nil {
		err = writable(dir)
	}
	if err != nil {
		return fmt.Errorf("creating statistics file: %w", err)
	}
	return nil
}

// checkFormat returns an error if the file at path has a format that this version does
// not know. A file that another process has open, and a damaged file, which
// [OpenBolt] moves aside, are no errors.
func checkFormat(path string) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			err = nil // damaged
		}
	}()
	db, err := bolt.Open(path, 0, &bolt.Options{ReadOnly: true, Timeout: time.Nanosecond}) // one attempt to lock it
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil
	}
	if err == nil {
		err = errors.Join(db.View(known), db.Close())
	} else {
		err = blame(err)
	}
	if errors.Is(err, errDamaged) {
		return nil
	}
	return err
}
