package proc

import "syscall"

// attributes put a program into a process group of its own, and make the kernel send it
// SIGTERM when this process dies.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
