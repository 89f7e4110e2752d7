//go:build !linux

package e2e

import "syscall"

// procAttr has nothing to ask for: only Linux kills a child with its parent.
func procAttr() *syscall.SysProcAttr { return nil }
