//go:build !linux

package charttest

import "syscall"

// procAttr returns no attributes: only Linux can kill a program with its parent.
func procAttr() *syscall.SysProcAttr { return nil }
