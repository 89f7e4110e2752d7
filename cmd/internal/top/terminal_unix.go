//go:build unix

package top

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// isTerminal reports whether f is a terminal.
func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	return err == nil
}

// windowSize returns columns and lines of a terminal, 0 if unknown.
func windowSize(f *os.File) (width, height int) {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0
	}
	return int(size.Col), int(size.Row)
}

// windowChanges returns a channel that receives a signal when the terminal may have a
// new size or show another program's output, and when the process should stop for a
// while; quiet stops these signals.
func windowChanges() (changes <-chan os.Signal, quiet func()) {
	c := make(chan os.Signal, 4)
	signal.Notify(c, syscall.SIGWINCH, syscall.SIGCONT, syscall.SIGTSTP)
	return c, func() { signal.Stop(c) }
}

// isStop reports whether s stops the process until it is continued.
func isStop(s os.Signal) bool { return s == syscall.SIGTSTP }

// stopSelf stops the process and returns when it continues.
func stopSelf() error { return syscall.Kill(os.Getpid(), syscall.SIGSTOP) }
