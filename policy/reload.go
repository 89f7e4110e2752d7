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
		if p.o.Path == "" {
			continue
		}
		before := look(p.fetch(ctx.Done()))
		if !p.changed(before) {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(settle):
		}
		p.settled(ctx, before)
	}
}

// changed reports whether the files as they look now are neither those in force nor those last found wrong.
func (p *Policy) changed(now string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed != "" {
		return now != p.failed
	}
	return now != p.State().Hash
}

// settled takes the files if they still look as they did before.
func (p *Policy) settled(ctx context.Context, before string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	files, err := p.fetch(ctx.Done())
	if ctx.Err() == nil && look(files, err) == before {
		_ = p.take(files, err) // told by State and OnChange
	}
}

// Reload reads the files again, at once. Where they cannot be read within five seconds or are not valid, the rules in force stay, and State says why. A
// Policy that was not loaded has nothing to read.
func (p *Policy) Reload() error {
	if p.o.Path == "" {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.take(p.fetch(nil))
}

// take puts into force what was read, or tells why it cannot. The caller holds mu.
func (p *Policy) take(files []file, err error) error {
	before := p.state.Load()
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
