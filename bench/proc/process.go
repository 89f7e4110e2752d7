// Package proc starts the programs of a measurement, reads the processor time and
// memory that they use, and ends them by their process id.
package proc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Options describe a program to start.
type Options struct {
	Name string // in messages, such as "osgate"
	Path string
	Args []string
	Env  []string // complete; PATH is added
	Log  string   // file for standard error, and for standard output after the first lines

	// Lines is the number of lines of standard output that Start waits for and returns,
	// such as the addresses that a server prints.
	Lines int
}

// Process is a running program. Its methods are for one goroutine at a time.
type Process struct {
	name  string
	cmd   *exec.Cmd
	log   *os.File
	ended chan struct{} // closed when the program has ended
}

// Patience bounds the start and the end of a program.
const Patience = 20 * time.Second

// Start starts a program and returns the first lines of its standard output. On Linux
// the kernel sends the program SIGTERM when this process dies. The program is in a
// process group of its own, so that an interrupt from the terminal reaches only this
// process, which then ends the others in order.
func Start(ctx context.Context, o Options) (*Process, []string, error) {
	log, err := os.Create(o.Log)
	if err != nil {
		return nil, nil, err
	}
	read, write, err := os.Pipe()
	if err != nil {
		_ = log.Close()
		return nil, nil, err
	}
	cmd := exec.Command(o.Path, o.Args...) //nolint:noctx // Stop ends it, in order and by its id
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, o.Env...)
	cmd.Stdout, cmd.Stderr = write, log
	cmd.SysProcAttr = attributes()
	err = cmd.Start()
	_ = write.Close()
	if err != nil {
		_, _ = read.Close(), log.Close()
		return nil, nil, fmt.Errorf("starting %s: %w", o.Name, err)
	}
	p := &Process{name: o.Name, cmd: cmd, log: log, ended: make(chan struct{})}
	go func() { // ends with the program, which Stop kills
		_ = cmd.Wait()
		close(p.ended)
	}()
	lines, err := p.firstLines(ctx, read, o.Lines)
	if err != nil {
		p.Stop()
		return nil, nil, err
	}
	return p, lines, nil
}

// firstLines returns the first n lines of the program's output. The rest goes to its
// log.
func (p *Process) firstLines(ctx context.Context, from *os.File, n int) ([]string, error) {
	type result struct {
		lines []string
		err   error
	}
	got := make(chan result, 1)
	go func() { // ends when the program closes its output
		defer from.Close()
		r, in := result{}, bufio.NewReader(from)
		for len(r.lines) < n && r.err == nil {
			var line string
			if line, r.err = in.ReadString('\n'); r.err == nil {
				r.lines = append(r.lines, line[:len(line)-1])
			}
		}
		got <- r
		_, _ = io.Copy(p.log, in)
	}()
	select {
	case r := <-got:
		if r.err != nil {
			return nil, fmt.Errorf("%s ended before it was ready: %w\n%s", p.name, r.err, p.tail())
		}
		return r.lines, nil
	case <-time.After(Patience):
		return nil, fmt.Errorf("%s printed nothing within %v", p.name, Patience)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// tail returns the end of the program's log.
func (p *Process) tail() string {
	const most = 4 << 10
	info, err := p.log.Stat()
	if err != nil {
		return ""
	}
	text := make([]byte, min(info.Size(), most))
	n, _ := p.log.ReadAt(text, info.Size()-int64(len(text)))
	return string(text[:n])
}

// Err returns an error if the program has ended.
func (p *Process) Err() error {
	select {
	case <-p.ended:
		return fmt.Errorf("%s has ended: %v\n%s", p.name, p.cmd.ProcessState, p.tail())
	default:
		return nil
	}
}

// Stop ends the program and waits for its end: by SIGTERM, and after 5 seconds by
// SIGKILL. Then it kills the rest of the program's process group, such as workers.
func (p *Process) Stop() {
	group := -p.cmd.Process.Pid // every program leads one, see Start
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(5 * time.Second):
	}
	_ = syscall.Kill(group, syscall.SIGKILL)
	<-p.ended
	_ = p.log.Close()
}

// Wait polls ready every 20 ms until it returns nil. It fails after Patience, if the
// program ends, or with ctx.
func (p *Process) Wait(ctx context.Context, ready func() error) error {
	deadline := time.After(Patience)
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-p.ended:
			return p.Err()
		case <-deadline:
			return errors.Join(fmt.Errorf("%s is not ready after %v", p.name, Patience), err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
