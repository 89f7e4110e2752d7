//go:build !linux

package redistest

import "syscall"

// procAttr has nothing to ask for: only Linux kills a child with its parent.
func procAttr() *syscall.SysProcAttr { return nil }
