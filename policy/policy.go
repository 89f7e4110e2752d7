package policy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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
	Shadowed int       // how many of Rules are in shadow mode; all of them if Shadow
	Shadow   bool      // all rules are in shadow mode, by Options.Shadow or [Policy.SetShadow]
	Loaded   time.Time // when they were read; zero without a policy
	Hash     string    // of the files' names and contents, hexadecimal
	// Err is why the present files could not be loaded: a *[LoadError] or an error of
	// the file system. It is nil if the rules in force are those of the files.
	Err   error
	Since time.Time // when Err first occurred
}

// Policy decides by rules that may be replaced while it is in use. The zero Policy has
// no rules and permits everything. It is safe for concurrent use.
type Policy struct {
	options Options
	state   atomic.Pointer[loadedRules]

	changing sync.Mutex // held while state and options.Shadow are replaced

	read    func() ([]watch.File, error) // reads the files once
	watcher *watch.Watcher
}

// loadedRules is a State with its rules and the files that they are made from.
type loadedRules struct {
	State
	rules *Rules
	files []watch.File
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
	p.watcher = watch.New(watch.Options{
		Read: func() ([]watch.File, error) { return p.read() }, Take: p.take, Rest: o.Rest,
	})
	files, err := p.watcher.Rested()
	if err != nil {
		return nil, reading(err)
	}
	rules, err := compile(files, o)
	if err != nil {
		return nil, err
	}
	p.state.Store(&loadedRules{describe(files, rules), rules, files})
	return p, nil
}

// describe returns the State of rules just read.
func describe(files []watch.File, rules *Rules) State {
	return State{
		Files: len(files), Rules: rules.Len(), Shadowed: rules.shadowed, Shadow: rules.shadow, Loaded: time.Now(),
		Hash: watch.Hash(files),
	}
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

// State returns the state of the rules in force.
func (p *Policy) State() State {
	if s := p.state.Load(); s != nil {
		return s.State
	}
	return State{}
}

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

// ErrNoPolicy is returned by [Policy.SetShadow] without a policy.
var ErrNoPolicy = errors.New("there is no policy")

// SetShadow puts all rules into shadow mode, or ends that, until the next call or the
// end of the process. Rules that are in shadow mode by themselves stay so.
func (p *Policy) SetShadow(on bool) error {
	if p.options.Path == "" {
		return ErrNoPolicy
	}
	p.changing.Lock()
	defer p.changing.Unlock()
	before, o := p.state.Load(), p.options
	o.Shadow = on
	rules, err := compile(before.files, o)
	if err != nil { // the same files were valid before
		return err
	}
	p.options.Shadow = on
	after := &loadedRules{before.State, rules, before.files}
	after.Shadow, after.Shadowed = on, rules.shadowed
	p.state.Store(after)
	return nil
}

// take puts the files into force, or reports why it cannot. The watcher calls it by one
// goroutine at a time.
func (p *Policy) take(files []watch.File, err error) error {
	p.changing.Lock()
	defer p.changing.Unlock()
	before := p.state.Load()
	var rules *Rules
	if err == nil {
		rules, err = compile(files, p.options)
	}
	err = reading(err)
	after := &loadedRules{before.State, before.rules, before.files}
	if err != nil {
		if after.Err == nil {
			after.Since = time.Now()
		}
		after.Err = err
	} else {
		after = &loadedRules{describe(files, rules), rules, files}
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

// The limits of a policy.
const (
	maxFiles  = 1_000
	maxBytes  = 8 << 20 // of all files together
	maxRules  = 10_000
	maxHeader = 32
)

// extension is the end of the names of policy files.
const extension = ".cedar"

// ErrNoRules is returned for a policy without rules: it would deny everything.
var ErrNoRules = errors.New("the policy holds no rule, so that it would deny everything")

// readFiles reads the file at path, or the .cedar files of the folder at path in the
// order of their names. It follows links.
func readFiles(path string) ([]watch.File, error) {
	pinned, isFolder, err := pin(path)
	if err != nil {
		return nil, fmt.Errorf("reading policy: %w", err)
	}
	if !isFolder {
		f, err := readFile(pinned, maxBytes)
		if err != nil {
			return nil, err
		}
		f.Name = filepath.Base(path)
		return []watch.File{f}, nil
	}
	listed := changed(path, pinned)
	names, err := list(pinned, extension)
	if err != nil {
		return nil, err
	}
	var files []watch.File
	left := maxBytes
	for _, name := range names {
		f, err := readFile(filepath.Join(pinned, name), left)
		if err != nil {
			return nil, err
		}
		left -= len(f.Text)
		f.Changed = latest(f.Changed, listed)
		files = append(files, f)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("reading policy: %s has no %s file: %w", path, extension, ErrNoRules)
	}
	return files, nil
}

// changed returns the latest modification time of the folders. It changes when a file
// in them is created, renamed or removed.
func changed(folders ...string) (last time.Time) {
	for _, folder := range folders {
		if info, err := os.Stat(folder); err == nil { // list reports the error
			last = latest(last, info.ModTime())
		}
	}
	return last
}

// latest returns the later of two times.
func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// versionLink is the link that Kubernetes replaces when a ConfigMap changes; the
// visible files of the volume are links through it.
const versionLink = "..data"

// pin returns the path to which path leads now, and whether that is a folder. A program
// that replaces all files at once does so by replacing a link, path itself or the link
// in the folder, and all files must be read from one version.
func pin(path string) (pinned string, isFolder bool, err error) {
	if pinned, err = filepath.EvalSymlinks(path); err != nil {
		return "", false, err //nolint:wrapcheck // by the caller
	}
	info, err := os.Stat(pinned)
	if err != nil || !info.IsDir() {
		return pinned, false, err //nolint:wrapcheck // by the caller
	}
	names, err := list(pinned, extension)
	if err != nil {
		return "", false, err
	}
	version, err := filepath.EvalSymlinks(filepath.Join(pinned, versionLink))
	if errors.Is(err, os.ErrNotExist) ||
		slices.ContainsFunc(names, func(name string) bool { return !versioned(filepath.Join(pinned, name)) }) {
		return pinned, true, nil
	}
	return version, true, err //nolint:wrapcheck // by the caller
}

// versioned reports whether path is a link through versionLink.
func versioned(path string) bool {
	to, err := os.Readlink(path)
	return err == nil && filepath.Dir(to) == versionLink
}

// list returns the sorted names of the visible entries of folder that end in suffix and
// are no folders.
func list(folder, suffix string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("reading policy: %w", err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") || !strings.HasSuffix(e.Name(), suffix) {
			continue
		}
		if names = append(names, e.Name()); len(names) > maxFiles {
			return nil, fmt.Errorf("reading policy: %s has more than %d files", folder, maxFiles)
		}
	}
	return names, nil // sorted by ReadDir
}

// readFile reads the regular file at path, which may have limit bytes.
func readFile(path string, limit int) (watch.File, error) {
	f, err := watch.ReadFile(path, limit)
	if _, large := errors.AsType[*watch.LargeError](err); large {
		return f, fmt.Errorf("reading policy: with %s it has more than %d bytes", path, maxBytes)
	}
	if err != nil {
		return f, fmt.Errorf("reading policy: %w", err)
	}
	return f, nil
}

// secretHeaders are not available to rules: their values must not be written into a
// policy file.
var secretHeaders = []string{"authorization", "cookie", "proxy-authorization"}

// headerNames returns names in lower case, sorted, each once.
func headerNames(names []string) ([]string, error) {
	var lower []string
	for _, name := range names {
		name = strings.ToLower(strings.TrimSpace(name))
		switch {
		case name == "" || strings.ContainsFunc(name, notTokenRune):
			return nil, fmt.Errorf("policy: %q is no name of a header", name)
		case slices.Contains(secretHeaders, name):
			return nil, fmt.Errorf("policy: header %s is a secret and not offered to rules", name)
		}
		lower = append(lower, name)
	}
	slices.Sort(lower)
	lower = slices.Compact(lower)
	if len(lower) > maxHeader {
		return nil, fmt.Errorf("policy: more than %d headers", maxHeader)
	}
	return lower, nil
}

// notTokenRune reports whether r is forbidden in a header's name (RFC 9110 section
// 5.6.2).
func notTokenRune(r rune) bool {
	return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r))
}
