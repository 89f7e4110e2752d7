//go:build !unix

package top

import "os"

// isTerminal returns false, so that one plain frame is written.
func isTerminal(*os.File) bool { return false }

// windowSize returns zeros: the size is unknown.
func windowSize(*os.File) (width, height int) { return 0, 0 }

// windowChanges returns a channel that never receives.
func windowChanges() (changes <-chan os.Signal, quiet func()) { return nil, func() {} }

// isStop returns false: there is no such signal.
func isStop(os.Signal) bool { return false }

// stopSelf is never called.
func stopSelf() error { return nil }
