package proc

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// CPU returns the processor time, user and system, that the program and its children
// have used so far. The kernel states it in ticks of 10 ms.
func (p *Process) CPU() (time.Duration, error) {
	pids, err := p.pids()
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, pid := range pids {
		fields, err := stat(pid)
		if err != nil {
			return 0, fmt.Errorf("reading the CPU of %s: %w", p.name, err)
		}
		for _, field := range fields[11:13] { // utime and stime, fields 14 and 15 of proc(5)
			ticks, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("reading the CPU of %s: %w", p.name, err)
			}
			sum += time.Duration(ticks) * 10 * time.Millisecond
		}
	}
	return sum, nil
}

// Peak returns the most resident memory since ResetPeak, in bytes, summed over the
// program and its children.
func (p *Process) Peak() (int64, error) {
	pids, err := p.pids()
	if err != nil {
		return 0, err
	}
	var sum int64
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return 0, err
		}
		_, rest, _ := strings.Cut(string(text), "VmHWM:")
		kilobytes, _, _ := strings.Cut(rest, "kB")
		n, err := strconv.ParseInt(strings.TrimSpace(kilobytes), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading the memory of %s: %w", p.name, err)
		}
		sum += n << 10
	}
	return sum, nil
}

// ResetPeak makes Peak start from the memory of this moment.
func (p *Process) ResetPeak() error {
	pids, err := p.pids()
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
			return err
		}
	}
	return nil
}

// pids returns the ids of the program and of its children.
func (p *Process) pids() ([]int, error) {
	pids := []int{p.cmd.Process.Pid}
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	for _, dir := range all {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		fields, err := stat(pid)
		if err == nil && fields[1] == strconv.Itoa(pids[0]) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// stat returns the fields of /proc/PID/stat from the third on: the state and the
// parent's id come first.
func stat(pid int) ([]string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	// The second field is the name in parentheses, and may hold blanks.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 13 {
		return nil, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	return fields, nil
}
