//go:build !linux

package e2e

import "syscall"

// procAttr returns no attributes: only Linux kills a child with its parent.
func procAttr() *syscall.SysProcAttr { return nil }
