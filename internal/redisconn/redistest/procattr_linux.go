package redistest

import "syscall"

// procAttr makes the kernel kill the server when the test process dies, so that a
// test binary that panics or times out leaves nothing running.
func procAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
