package policy

import (
	"context"
	"time"
)

// pollEvery is how often Run looks at the files.
const pollEvery = 2 * time.Second

// Run reads the files every two seconds until ctx ends, and returns ctx's error. It
// loads files that have changed and have been at rest for Options.Rest. If they cannot
// be read or are not valid for that time, the rules stay in force, and [Policy.State]
// and Options.OnChange report the error. Without a policy Run only waits.
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

// Reload reads the files again when they are at rest. If they do not come to rest
// within about twice Options.Rest, cannot be read within five seconds or are not valid,
// the rules stay in force, and State reports the error. A Policy that was not loaded
// has no files.
func (p *Policy) Reload() error {
	if p.o.Path == "" {
		return nil
	}
	return p.take(p.rested())
}

// take puts the files into force, or reports why it cannot.
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
