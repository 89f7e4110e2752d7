package top

import (
	"os"

	"golang.org/x/sys/unix"
)

// mute makes a terminal pass on each key at once without showing it. Ctrl-C, Ctrl-Z and
// similar keys stay signals. Restore undoes it. Both do nothing if f is not a terminal.
func mute(f *os.File) (restore func()) {
	before, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return func() {}
	}
	muted := *before
	muted.Lflag &^= unix.ECHO | unix.ICANON
	muted.Cc[unix.VMIN], muted.Cc[unix.VTIME] = 1, 0
	// On failure keys are shown, and work after Enter.
	_ = unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, &muted)
	return func() { _ = unix.IoctlSetTermios(int(f.Fd()), unix.TCSETSF, before) } // drops keys typed meanwhile
}
