package policy

import (
	"sync/atomic"
	"time"

	"osgate/internal/watch"
)

// Options say which rules there are. Path has to be given.
type Options struct {
	Path     string        // a .cedar file, or a folder of which every .cedar file is read, in the order of their names; not the folders in it
	Shadow   bool          // decide and report, but permit everything
	Rest     time.Duration // the time for which the files must be unchanged before they are loaded, see [watch.Rest]; 0: they are loaded at once
	Headers  []string      // names of the request headers that rules may read as context.headers; at most 32
	OnChange func(State)   // called by Reload and Run after each change of State, one call at a time; may be nil
}

// State is what is known of the rules in force.
type State struct {
	Files    int       // that were read
	Rules    int       // in force, those in shadow mode included
	Shadowed int       // how many of Rules are in shadow mode; all of them with Options.Shadow
	Loaded   time.Time // when they were read; zero without a policy
	Hash     string    // of the files' names and contents, hexadecimal
	Err      error     // why the files as they are now could not be taken, *[LoadError] or of the file system; nil: Rules are what the files say
	Since    time.Time // when Err was first met
}

// Policy decides by rules that may be replaced while it does. The zero Policy has none and permits everything. It is safe for concurrent use, and
// deciding takes no lock.
type Policy struct {
	o     Options
	state atomic.Pointer[stateOf]

	read    func() ([]watch.File, error) // the files once
	watcher *watch.Watcher
}

// stateOf is a State with the rules that it is about.
type stateOf struct {
	State
	rules *Rules
}

// Load reads the rules when their files are at rest (Options.Rest). It returns a
// *[LoadError] that names every fault if the rules are not valid. It also fails if the
// files keep changing, or if the file system does not answer within five seconds.
func Load(o Options) (*Policy, error) {
	return load(o, func() ([]watch.File, error) { return readFiles(o.Path) })
}

// load is Load with another way to read.
func load(o Options, read func() ([]watch.File, error)) (*Policy, error) {
	headers, err := headerNames(o.Headers)
	if err != nil {
		return nil, err
	}
	o.Headers = headers
	p := &Policy{o: o, read: read}
	p.watcher = watch.New(watch.Options{Read: func() ([]watch.File, error) { return p.read() }, Take: p.take, Rest: o.Rest})
	files, err := p.watcher.Rested()
	if err != nil {
		return nil, reading(err)
	}
	rules, err := compile(files, o)
	if err != nil {
		return nil, err
	}
	p.state.Store(&stateOf{describe(files, rules), rules})
	return p, nil
}

// describe returns the State of rules just read.
func describe(files []watch.File, rules *Rules) State {
	return State{Files: len(files), Rules: rules.Len(), Shadowed: rules.shadowed, Loaded: time.Now(), Hash: watch.Hash(files)}
}

// Rules returns the rules in force: a set that never changes, so that what it [Rules.Needs] is what it reads. Ask once for an exchange. It is nil
// without a policy, and a nil *Rules permits everything.
func (p *Policy) Rules() *Rules {
	if s := p.state.Load(); s != nil {
		return s.rules
	}
	return nil
}

// Needs is [Rules.Needs] of the rules in force.
func (p *Policy) Needs() Needs { return p.Rules().Needs() }

// Decide is [Rules.Decide] of the rules in force.
func (p *Policy) Decide(r Request) Decision { return p.Rules().Decide(r) }

// State returns what is known of the rules in force.
func (p *Policy) State() State {
	if s := p.state.Load(); s != nil {
		return s.State
	}
	return State{}
}
