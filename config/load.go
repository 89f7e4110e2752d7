package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"
)

// Load reads a Config from environ, whose items have the form of [os.Environ]'s: "NAME=value". An empty value counts as
// unset. Beside the environment it reads the files that OSGATE_…_FILE variables name, and nothing else.
//
// Each check is asked about what could be read, for what this package does not know of; its problems with variables that have one already are
// left out.
//
// Where anything is wrong it returns the zero Config and an [*InvalidError] that holds every problem found.
func Load(environ []string, checks ...func(Config) []Problem) (Config, error) {
	l := newLoader(fields())
	l.classify(environ)
	l.readFiles()
	return l.finish(checks)
}

// finish makes the Config of what was read, or finds all that is wrong.
func (l *loader) finish(checks []func(Config) []Problem) (Config, error) {
	c, err := l.parse()
	if err != nil {
		return Config{}, err
	}
	l.applyRules(c)
	for _, check := range checks {
		for _, p := range check(c) {
			if i, known := l.byName[p.Variable]; known {
				p = l.problem(&l.fields[i], p.Detail)
			}
			if !slices.ContainsFunc(l.problems, func(known Problem) bool { return known.Variable == p.Variable }) {
				l.problems = append(l.problems, p)
			}
		}
	}
	if len(l.problems) > 0 {
		slices.SortStableFunc(l.problems, func(a, b Problem) int { return l.position(a) - l.position(b) })
		return Config{}, &InvalidError{Problems: l.problems}
	}
	c.settings, c.given, c.files = l.settings(), map[string]Secret{}, l.files
	for name, value := range l.values {
		c.given[name] = NewSecret(value)
	}
	return c, nil
}

// fileSuffix makes of a secret's name that of its file.
const fileSuffix = "_FILE"

// loader is one reading of an environment.
type loader struct {
	fields []field
	byName map[string]int    // index in fields, _FILE names included
	values map[string]string // what the env library is given: nothing but known variables, none of them empty
	files  map[string]string // by the variable's own name: path of the file to read it from

	current  *field // what the env library is setting
	problems []Problem
}

func newLoader(fields []field) *loader {
	l := &loader{
		fields: fields,
		byName: map[string]int{},
		// Never nil: the env library would read the process's own environment.
		values: map[string]string{},
		files:  map[string]string{},
	}
	for i, f := range fields {
		l.byName[f.Name] = i
		if f.File {
			l.byName[f.Name+fileSuffix] = i
		}
	}
	return l
}

// classify parts what is ours of environ into values and files, and finds what nobody knows.
func (l *loader) classify(environ []string) {
	unknown := map[string]bool{}
	for _, item := range environ {
		name, value, _ := strings.Cut(item, "=")
		i, known := l.byName[name]
		switch {
		case !strings.HasPrefix(name, Prefix) || injected(name, item):
		case !known:
			unknown[name] = true
		case value == "":
		case name == l.fields[i].Name:
			l.values[name] = value
		default:
			l.files[l.fields[i].Name] = value
		}
	}
	for _, name := range slices.Sorted(maps.Keys(unknown)) {
		l.problems = append(l.problems, Problem{Variable: name, Detail: l.unknown(name)})
	}
}

// unknown says what is wrong with a name that is none of ours. Its value is not shown: it may be a misspelled secret's.
func (l *loader) unknown(name string) string {
	names := make([]string, 0, len(l.byName))
	for _, f := range l.fields {
		names = append(names, f.Name)
		if f.File {
			names = append(names, f.Name+fileSuffix)
		}
	}
	return "unknown; the nearest name is " + nearest(name, names)
}

// readFiles reads what is given as a file.
func (l *loader) readFiles() {
	for i := range l.fields {
		f := &l.fields[i]
		path, given := l.files[f.Name]
		if !given {
			continue
		}
		var detail string
		switch _, both := l.values[f.Name]; {
		case both:
			detail = "set together with " + f.Name + "; want only one of the two"
		case f.lines:
			err := l.readLines(f.Name, path)
			if err == nil {
				continue
			}
			detail = err.Error()
		default:
			content, err := readSecret(path)
			if err == nil {
				l.values[f.Name] = content
				continue
			}
			detail = err.Error()
		}
		l.problems = append(l.problems, l.problem(f, detail))
	}
}

// maxSecretBytes bounds a secret's file; no secret of ours comes near.
const maxSecretBytes = 64 << 10

// rightFile is what would be right of a variable that names a file.
const rightFile = "; want the path of a readable file that contains the value"

// readWhole returns the content of a file that may have limit bytes. No error holds the path: who takes the variable for
// the secret itself has put the secret there.
func readWhole(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the file cannot be opened: %w"+rightFile, cause(err))
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, fmt.Errorf("the file cannot be read: %w"+rightFile, cause(err))
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("the file is larger than %d bytes"+rightFile, limit)
	}
	return content, nil
}

// readSecret returns the content of a file without its last newline.
func readSecret(path string) (string, error) {
	content, err := readWhole(path, maxSecretBytes)
	if err != nil {
		return "", err
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r")
	if text == "" {
		return "", errors.New("the file is empty" + rightFile)
	}
	return text, nil
}

// cause returns what went wrong with a file, without its path.
func cause(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	return errors.New("unknown cause")
}

// parse lets the env library fill a Config. Its error is a fault of this package, never of the environment's.
func (l *loader) parse() (Config, error) {
	var c Config
	err := env.ParseWithOptions(&c, env.Options{
		Prefix:      Prefix,
		Environment: l.values,
		FuncMap:     l.parsers(),
		// Called right before a field is parsed: how a parser learns which variable it reads.
		OnSet: func(name string, _ any, _ bool) { l.current = &l.fields[l.byName[name]] },
	})
	all, _ := errors.AsType[env.AggregateError](err)
	for _, err := range all.Errors {
		parseErr, _ := errors.AsType[env.ParseError](err)
		problem, ok := errors.AsType[problemError](parseErr.Err)
		if !ok {
			return Config{}, fmt.Errorf("reading the environment: field %s of type %s has no parser", parseErr.Name, parseErr.Type)
		}
		l.problems = append(l.problems, problem.Problem)
	}
	return c, nil
}

// problem returns a problem of f, under the name of its _FILE form where that was given.
func (l *loader) problem(f *field, detail string) Problem {
	name := f.Name
	if _, asFile := l.files[f.Name]; asFile {
		name += fileSuffix
	}
	return Problem{Variable: name, Detail: detail}
}

// position orders problems as the variables are documented, unknown ones last.
func (l *loader) position(p Problem) int {
	if i, known := l.byName[p.Variable]; known {
		return i
	}
	return math.MaxInt
}

// settings returns what was given, secrets masked.
func (l *loader) settings() map[string]setting {
	given := map[string]setting{}
	for name, value := range l.values {
		s := setting{value: l.fields[l.byName[name]].masked(value), source: FromEnvironment}
		if _, asFile := l.files[name]; asFile {
			s.source = FromFile
		}
		given[name] = s
	}
	for name := range l.files {
		if _, set := given[name]; !set {
			given[name] = setting{source: FromFile} // a file of entries that has none
		}
	}
	return given
}
