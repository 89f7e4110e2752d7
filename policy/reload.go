package policy

import (
	"context"
	"time"
)

// pollEvery is how often Run looks at the files.
const pollEvery = 2 * time.Second

// Run looks at the files every two seconds and takes them when they have changed and been at rest for Options.Rest since, until ctx ends. It returns ctx's
// error. What cannot be read or is not valid for that long leaves the rules in force and is told by [Policy.State] and Options.OnChange. Without a
// policy it only waits.
func (p *Policy) Run(ctx context.Context) error {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	var r rest
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		if p.o.Path == "" {
			continue
		}
		files, err := p.fetch(ctx.Done())
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !p.changed(look(files, err)):
			r = rest{}
		case r.left(files, err, time.Now(), p.o.Rest) <= 0:
			_ = p.take(files, err) // told by State and OnChange
		}
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

// Reload reads the files again, at once where they are at rest, else as soon as they are. Where that takes twice as long as they must rest, or they cannot be
// read within five seconds or are not valid, the rules in force stay, and State says why. A Policy that was not loaded has nothing to read.
func (p *Policy) Reload() error {
	if p.o.Path == "" {
		return nil
	}
	return p.take(p.rested())
}

// take puts into force what was read, or tells why it cannot.
func (p *Policy) take(files []file, err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
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
