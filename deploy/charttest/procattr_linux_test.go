package charttest

import "syscall"

// procAttr makes the kernel kill a program when the test process dies, so that a test
// binary that panics or times out leaves no process running.
func procAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
