//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package audit

import (
	"errors"
	"os"
	"syscall"
)

// errLocked reports that another process writes the file.
var errLocked = errors.New("another process writes it")

// lock takes the lock of a file, which ends when the file is closed, or with the
// process.
func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errLocked
	}
	return err //nolint:wrapcheck // by the caller
}
