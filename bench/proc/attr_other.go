//go:build !linux

package proc

import "syscall"

// attributes put a program into a process group of its own. Only Linux can also end it
// with this process.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
