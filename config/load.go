package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"

	"osgate/internal/editdistance"
)

// Load reads a Config from environ, whose items have the form of [os.Environ]:
// "NAME=value". An empty value counts as unset. Besides the environment, it reads only
// the files that OSGATE_…_FILE variables name.
//
// The checks cover rules that this package cannot know. Each check is called with the
// values that could be read; its problems with variables that already have a problem
// are dropped.
//
// If anything is wrong, Load returns the zero Config and an [*InvalidError] with every
// problem found.
func Load(environ []string, checks ...func(Config) []Problem) (Config, error) {
	l := newLoader(fields())
	l.classify(environ)
	l.readFiles()
	return l.finish(checks)
}

// finish makes the Config from the values read, or returns every problem.
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

// fileSuffix turns the name of a secret into the name of the variable for its file.
const fileSuffix = "_FILE"

// loader holds the state while one environment is read.
type loader struct {
	fields []field
	byName map[string]int    // index in fields, _FILE names included
	values map[string]string // for the env library: known variables only, none of them empty
	files  map[string]string // by the variable's own name: the path of the file to read it from

	current  *field // the field that the env library is setting
	problems []Problem
}

func newLoader(fields []field) *loader {
	l := &loader{
		fields: fields,
		byName: map[string]int{},
		// Not nil: otherwise the env library would read the process's own environment.
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

// classify sorts the osgate variables of environ into values and files, and reports
// unknown ones.
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

// unknown returns the problem of a name that is not an osgate variable. It does not
// show the value, which may be that of a misspelled secret.
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

// readFiles reads the values that are given as files.
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

// readLines reads an entries file.
func (l *loader) readLines(variable, path string) error {
	content, err := readWhole(path, MaxLinesBytes)
	if err != nil {
		return err
	}
	return l.setLines(variable, content)
}

// maxSecretBytes bounds the size of a secret's file. Real secrets are far smaller.
const maxSecretBytes = 64 << 10

// rightFile describes a right value for a variable that names a file.
const rightFile = "; want the path of a readable file that contains the value"

// readWhole returns the content of a file of at most limit bytes. Its errors do not
// contain the path, because an operator may put the secret itself there by mistake.
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

// ReadSecret reads a secret from a file, as [Load] does for a variable with the suffix
// _FILE.
func ReadSecret(path string) (Secret, error) {
	text, err := readSecret(path)
	return NewSecret(text), err
}

// cause returns the reason why a file could not be read, without its path.
func cause(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	return errors.New("unknown cause")
}

// parse lets the env library fill a Config. An error of its own is a bug of this
// package, not a problem with the environment.
func (l *loader) parse() (Config, error) {
	var c Config
	err := env.ParseWithOptions(&c, env.Options{
		Prefix:      Prefix,
		Environment: l.values,
		FuncMap:     l.parsers(),
		// Called right before a field is parsed, so that its parser knows which
		// variable it reads.
		OnSet: func(name string, _ any, _ bool) { l.current = &l.fields[l.byName[name]] },
	})
	all, _ := errors.AsType[env.AggregateError](err)
	for _, err := range all.Errors {
		parseErr, _ := errors.AsType[env.ParseError](err)
		problem, ok := errors.AsType[problemError](parseErr.Err)
		if !ok {
			return Config{}, fmt.Errorf("reading the environment: field %s of type %s has no parser",
				parseErr.Name, parseErr.Type)
		}
		l.problems = append(l.problems, problem.Problem)
	}
	return c, nil
}

// problem returns a problem of f, under the name of its _FILE form if that was given.
func (l *loader) problem(f *field, detail string) Problem {
	name := f.Name
	if _, asFile := l.files[f.Name]; asFile {
		name += fileSuffix
	}
	return Problem{Variable: name, Detail: detail}
}

// position orders problems as the variables are documented, unknown variables last.
func (l *loader) position(p Problem) int {
	if i, known := l.byName[p.Variable]; known {
		return i
	}
	return math.MaxInt
}

// settings returns the values given, with secrets masked.
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
			given[name] = setting{source: FromFile} // an entries file without entries
		}
	}
	return given
}

// masked returns a value of f, which was read without a problem, in the form that may
// be shown.
func (f *field) masked(text string) string {
	switch {
	case f.secret:
		return redacted
	case f.url:
		return withoutQuery(text)
	}
	return text
}

// Kubernetes sets variables for each Service in the namespace of a pod. Those of the
// Service osgate begin with OSGATE_SERVICE_ and OSGATE_PORT, those of a Service
// osgate-admin with OSGATE_ADMIN_; they are not settings. For any Service but osgate
// only the exact forms below count, so that a misspelled setting is still refused.
var (
	ownLink   = regexp.MustCompile(`^` + Prefix + `(SERVICE_|PORT)`)
	otherLink = regexp.MustCompile(`^` + Prefix +
		`[A-Z0-9_]+_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)
	otherPort = regexp.MustCompile(`^` + Prefix + `[A-Z0-9_]+_PORT=(tcp|udp|sctp)://`)
)

// injected reports whether item of the environment ("NAME=value") is a variable that
// Kubernetes sets for a Service. A name that ends in _PORT counts only with an address,
// as Kubernetes writes it.
func injected(name, item string) bool {
	return ownLink.MatchString(name) || otherLink.MatchString(name) || otherPort.MatchString(item)
}

// nearest returns the candidate with the fewest insertions, deletions and replacements
// from name, ignoring case. Among equal candidates it returns the one with the longest
// prefix in common with name, because people make more mistakes at the end. It returns
// "" if there are no candidates.
func nearest(name string, candidates []string) string {
	name = strings.ToUpper(name[:min(len(name), comparedBytes)])
	best, least, longest := "", 0, 0
	for _, candidate := range candidates {
		d, shared := editdistance.Of(name, candidate), sharedStart(name, candidate)
		if best == "" || d < least || d == least && shared > longest {
			best, least, longest = candidate, d, shared
		}
	}
	return best
}

// sharedStart returns the length in bytes of the common prefix of a and b.
func sharedStart(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// comparedBytes bounds the work of nearest: no osgate name is longer, and an
// environment may hold megabytes.
const comparedBytes = 64
