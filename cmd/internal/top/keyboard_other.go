//go:build !linux

package top

import "os"

// mute does nothing: keys are shown, and work after Enter.
func mute(*os.File) (restore func()) { return func() {} }
