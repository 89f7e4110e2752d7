package policy

import (
	"sync/atomic"
	"time"

	"osgate/internal/watch"
)

// Options configure a policy. Path is required.
type Options struct {
	// Path is a .cedar file, or a folder whose .cedar files are read in the order of
	// their names; files of its subfolders are not read.
	Path   string
	Shadow bool // decide and report, but permit everything
	// Rest is the time for which the files must be unchanged before they are loaded,
	// see [watch.Rest]; 0: they are loaded at once.
	Rest time.Duration
	// Headers are the names of the request headers that rules may read as
	// context.headers; at most 32.
	Headers []string
	// OnChange is called by Reload and Run after each change of State, one call at a
	// time. It may be nil.
	OnChange func(State)
}

// State describes the rules in force.
type State struct {
	Files    int       // number of files read
	Rules    int       // number of rules in force, those in shadow mode included
	Shadowed int       // how many of Rules are in shadow mode; all of them with Options.Shadow
	Loaded   time.Time // when they were read; zero without a policy
	Hash     string    // of the files' names and contents, hexadecimal
	// Err is why the present files could not be loaded: a *[LoadError] or an error of
	// the file system. It is nil if the rules in force are those of the files.
	Err   error
	Since time.Time // when Err first occurred
}

// Policy decides by rules that may be replaced while it is in use. The zero Policy has
// no rules and permits everything. It is safe for concurrent use, and decisions take no
// lock.
type Policy struct {
	options Options
	state   atomic.Pointer[loadedRules]

	read    func() ([]watch.File, error) // reads the files once
	watcher *watch.Watcher
}

// loadedRules is a State with its rules.
type loadedRules struct {
	State
	rules *Rules
}

// Load reads the rules when their files are at rest (Options.Rest). It returns a
// *[LoadError] that names every fault if the rules are not valid. It also fails if the
// files keep changing, or if the file system does not answer within five seconds.
func Load(o Options) (*Policy, error) {
	return load(o, func() ([]watch.File, error) { return readFiles(o.Path) })
}

// load is Load with another function that reads the files.
func load(o Options, read func() ([]watch.File, error)) (*Policy, error) {
	headers, err := headerNames(o.Headers)
	if err != nil {
		return nil, err
	}
	o.Headers = headers
	p := &Policy{options: o, read: read}
	p.watcher = watch.New(watch.Options{Read: func() ([]watch.File, error) { return p.read() }, Take: p.take, Rest: o.Rest})
	files, err := p.watcher.Rested()
	if err != nil {
		return nil, reading(err)
	}
	rules, err := compile(files, o)
	if err != nil {
		return nil, err
	}
	p.state.Store(&loadedRules{describe(files, rules), rules})
	return p, nil
}

// describe returns the State of rules just read.
func describe(files []watch.File, rules *Rules) State {
	return State{Files: len(files), Rules: rules.Len(), Shadowed: rules.shadowed, Loaded: time.Now(), Hash: watch.Hash(files)}
}

// Rules returns the rules in force. They are immutable, so that [Rules.Needs] lists
// exactly the facts that the same Rules read. Call it once for an exchange. It returns
// nil without a policy, and a nil *Rules permits everything.
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

// State returns the state of the rules in force.
func (p *Policy) State() State {
	if s := p.state.Load(); s != nil {
		return s.State
	}
	return State{}
}
