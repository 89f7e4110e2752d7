//go:build !unix

package main

import "os"

// isTerminal reports false: what is written is a plain frame, once.
func isTerminal(*os.File) bool { return false }

// windowSize knows none.
func windowSize(*os.File) (width, height int) { return 0, 0 }

// windowChanges never says anything.
func windowChanges() (changes <-chan os.Signal, quiet func()) { return nil, func() {} }

// isStop reports false: there is no such signal.
func isStop(os.Signal) bool { return false }

// stopSelf is never called.
func stopSelf() error { return nil }
