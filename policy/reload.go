package policy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"osgate/internal/watch"
)

// Run reads the files every two seconds until ctx ends, and returns ctx's error. It
// loads files that have changed and have been at rest for Options.Rest. If they cannot
// be read or are not valid for that time, the rules stay in force, and [Policy.State]
// and Options.OnChange report the error. Without a policy Run only waits.
func (p *Policy) Run(ctx context.Context) error {
	if p.options.Path == "" {
		<-ctx.Done()
		return ctx.Err()
	}
	return p.watcher.Run(ctx) //nolint:wrapcheck // ctx's
}

// Reload reads the files again when they are at rest. If they do not come to rest
// within about twice Options.Rest, cannot be read within five seconds or are not valid,
// the rules stay in force, and State reports the error. A Policy that was not loaded
// has no files.
func (p *Policy) Reload() error {
	if p.options.Path == "" {
		return nil
	}
	return p.watcher.Reload() //nolint:wrapcheck // take's
}

// take puts the files into force, or reports why it cannot. The watcher calls it by one
// goroutine at a time.
func (p *Policy) take(files []watch.File, err error) error {
	before := p.state.Load()
	var rules *Rules
	if err == nil {
		rules, err = compile(files, p.options)
	}
	err = reading(err)
	after := &loadedRules{before.State, before.rules}
	if err != nil {
		if after.Err == nil {
			after.Since = time.Now()
		}
		after.Err = err
	} else {
		after = &loadedRules{describe(files, rules), rules}
	}
	p.state.Store(after)
	if p.options.OnChange != nil {
		p.options.OnChange(after.State)
	}
	return err
}

// reading adds to an error of the watcher that it concerns the policy; other errors
// state so themselves.
func reading(err error) error {
	if errors.Is(err, watch.ErrHung) || errors.Is(err, watch.ErrRestless) {
		return fmt.Errorf("reading policy: %w", err)
	}
	return err
}
