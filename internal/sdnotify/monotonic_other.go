//go:build !linux

package sdnotify

import (
	"errors"
	"time"
)

// monotonic fails, because systemd runs on Linux alone.
func monotonic() (time.Duration, error) { return 0, errors.ErrUnsupported }
