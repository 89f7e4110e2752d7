//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// isTerminal reports whether f is one.
func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	return err == nil
}

// windowSize returns columns and lines of a terminal, 0 where it does not know them.
func windowSize(f *os.File) (width, height int) {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0
	}
	return int(size.Col), int(size.Row)
}

// windowChanges returns a channel that says when the terminal may have another size or show what another program left there, and when the process is asked
// to stop for a while; and what ends that.
func windowChanges() (changes <-chan os.Signal, quiet func()) {
	c := make(chan os.Signal, 4)
	signal.Notify(c, syscall.SIGWINCH, syscall.SIGCONT, syscall.SIGTSTP)
	return c, func() { signal.Stop(c) }
}

// isStop reports whether s asks the process to stop until it is told to go on.
func isStop(s os.Signal) bool { return s == syscall.SIGTSTP }

// stopSelf stops the process, and returns when it goes on.
func stopSelf() error { return syscall.Kill(os.Getpid(), syscall.SIGSTOP) }
