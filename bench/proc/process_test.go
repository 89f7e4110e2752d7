package proc

import (
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// A program and its child both ignore SIGTERM, as a master of nginx with workers that
// hang.
func TestStopEndsAProgramAndItsChildren(t *testing.T) {
	t.Parallel()
	const script = `trap '' TERM; sh -c 'trap "" TERM; echo $$; while :; do sleep 0.1; done'; sleep 100`
	p, lines, err := Start(t.Context(), Options{
		Name: "stubborn", Path: "/bin/sh", Args: []string{"-c", script},
		Log: filepath.Join(t.TempDir(), "log"), Lines: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(lines[0])
	if err != nil {
		t.Fatal(err)
	}
	p.Stop()
	for _, pid := range []int{p.cmd.Process.Pid, child} {
		for range 100 { // a killed process takes a moment to end
			if !runs(pid) {
				break
			}
			<-time.After(20 * time.Millisecond)
		}
		if runs(pid) {
			t.Errorf("process %d is still there", pid)
		}
	}
}

// runs reports whether a process is there and no zombie.
func runs(pid int) bool {
	fields, err := stat(pid)
	return err == nil && fields[0] != "Z"
}

func TestStartFailsIfTheProgramEnds(t *testing.T) {
	t.Parallel()
	_, _, err := Start(t.Context(), Options{
		Name: "short", Path: "/bin/sh", Args: []string{"-c", "echo no >&2"},
		Log: filepath.Join(t.TempDir(), "log"), Lines: 1,
	})
	if err == nil {
		t.Error("a program that ended without a line is ready")
	}
}

func TestCPUContainsThatOfChildren(t *testing.T) {
	t.Parallel()
	p, _, err := Start(t.Context(), Options{
		Name: "busy", Path: "/bin/sh", Log: filepath.Join(t.TempDir(), "log"), Lines: 1,
		Args: []string{"-c", `sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo done; sleep 60'`},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	used, err := p.CPU()
	if err != nil {
		t.Fatal(err)
	}
	if used <= 0 {
		t.Errorf("a busy child used %v", used)
	}
}
