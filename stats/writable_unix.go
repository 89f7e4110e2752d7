//go:build unix

package stats

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// writable returns an error if this process may not create files in dir.
func writable(dir string) error {
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return fmt.Errorf("writing to %s: %w", dir, err)
	}
	return nil
}
