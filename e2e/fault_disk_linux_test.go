package e2e

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// limitFiles limits the files that a process writes to this many bytes (RLIMIT_FSIZE).
// For a program this is a full disk: its writes fail.
func (p *process) limitFiles(bytes uint64) {
	p.t.Helper()
	limit := unix.Rlimit{Cur: bytes, Max: math.MaxUint64}
	if err := unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil); err != nil {
		p.t.Fatalf("limiting the files of %s: %v", p.name, err)
	}
}

// exchangeNames exchanges two files at once.
func exchangeNames(a, b string) error {
	return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
}

// smallDisk mounts a file system of one MiB, and returns its folder, or an empty string
// if this user may not mount.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Logf("no file system of its own: %v", err)
		return ""
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmounting: %v", err)
		}
	})
	return dir
}

// fill fills a file system, and returns a function that frees the space.
func fill(t *testing.T, dir string) (end func()) {
	t.Helper()
	name := filepath.Join(dir, "filling")
	var err error
	for n := 0; err == nil; n++ {
		err = os.WriteFile(fmt.Sprint(name, n), randomBytes(4<<10), 0o600)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("filling the disk: %v", err)
	}
	return func() {
		t.Helper()
		all, err := filepath.Glob(name + "*")
		for _, one := range all {
			err = errors.Join(err, os.Remove(one))
		}
		if err != nil {
			t.Errorf("freeing space: %v", err)
		}
	}
}
