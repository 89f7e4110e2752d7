package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// mute has a terminal show no keys, and hand over each when it is pressed; Ctrl-C, Ctrl-Z and the like stay signals. Restore undoes it. Both do nothing
// where f is no terminal.
func mute(f *os.File) (restore func()) {
	before, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return func() {}
	}
	muted := *before
	muted.Lflag &^= unix.ECHO | unix.ICANON
	muted.Cc[unix.VMIN], muted.Cc[unix.VTIME] = 1, 0
	_ = unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, &muted)                    // keys are shown then, and work after Enter
	return func() { _ = unix.IoctlSetTermios(int(f.Fd()), unix.TCSETSF, before) } // without what was typed meanwhile
}
