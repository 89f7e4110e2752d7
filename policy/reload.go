package policy

import (
	"context"
	"time"
)

// The clock of Run.
const (
	pollEvery = 2 * time.Second
	settle    = 200 * time.Millisecond // files must be the same this long: an editor may be writing them
)

// Run looks at the files every two seconds and takes them when they have changed, until ctx ends. It returns ctx's error. What cannot be read or
// is not valid leaves the rules in force and is told by [Policy.State] and Options.OnChange. Without a policy it only waits.
func (p *Policy) Run(ctx context.Context) error {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		if p.o.Path == "" || !p.changed() {
			continue
		}
		before := p.look()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(settle):
		}
		if p.look() == before {
			_ = p.Reload() // told by State and OnChange
		}
	}
}

// look returns what the files are now: a hash, or the error as text.
func (p *Policy) look() string {
	files, err := readFiles(p.o.Path)
	if err != nil {
		return err.Error()
	}
	return hash(files)
}

// changed reports whether the files are neither those in force nor those last found wrong.
func (p *Policy) changed() bool {
	now := p.look()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed != "" {
		return now != p.failed
	}
	return now != p.State().Hash
}

// Reload reads the files again, at once. Where they cannot be read or are not valid, the rules in force stay, and State says why. A Policy that was
// not loaded has nothing to read.
func (p *Policy) Reload() error {
	if p.o.Path == "" {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.state.Load()
	files, err := readFiles(p.o.Path)
	var rules *Rules
	if err == nil {
		rules, err = compile(files, p.o)
	}
	after := &stateOf{before.State, before.rules}
	if err != nil {
		p.failed = err.Error()
		if files != nil {
			p.failed = hash(files)
		}
		if after.Err == nil {
			after.Since = time.Now()
		}
		after.Err = err
	} else {
		p.failed = ""
		after = &stateOf{describe(files, rules), rules}
	}
	p.state.Store(after)
	if p.o.OnChange != nil {
		p.o.OnChange(after.State)
	}
	return err
}
