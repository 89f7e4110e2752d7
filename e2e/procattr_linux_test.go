package e2e

import "syscall"

// procAttr makes the kernel kill a program when the test process dies. A test binary
// that panics or times out therefore leaves no process running.
func procAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
