//go:build !linux

package redistest

import "syscall"

// procAttr returns nil: only Linux kills a child with its parent.
func procAttr() *syscall.SysProcAttr { return nil }
