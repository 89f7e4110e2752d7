//go:build !linux

package observe

import "syscall"

// procAttr changes nothing: only Linux can tie a program's life to its parent's.
func procAttr() *syscall.SysProcAttr { return nil }
