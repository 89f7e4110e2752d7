package config

import (
	"errors"
	"maps"
	"slices"
	"strings"
)

// MaxLinesBytes bounds the size of an entries file. It has room for about ten thousand
// entries.
const MaxLinesBytes = 1 << 20

// LinesFiles returns the paths of the entries files, by the variable that each one
// sets, such as "OSGATE_ROUTES". The files may change while the gateway runs; see
// [Config.WithLines].
func (c Config) LinesFiles() map[string]string {
	return maps.Collect(func(yield func(string, string) bool) {
		for _, f := range fields() {
			if path, given := c.files[f.Name]; f.lines && given && !yield(f.Name, path) {
				return
			}
		}
	})
}

// WithLines returns c with the entries in content instead of those that the file of
// variable had when c was read. The rules and checks of [Load] check the new
// configuration as a whole. If anything is wrong, WithLines returns an [*InvalidError].
func (c Config) WithLines(variable string, content []byte, checks ...func(Config) []Problem) (Config, error) {
	l := newLoader(fields())
	for name, value := range c.given {
		l.values[name] = value.Reveal()
	}
	maps.Copy(l.files, c.files)
	delete(l.values, variable)
	if err := l.setLines(variable, content); err != nil {
		return Config{}, &InvalidError{Problems: []Problem{{Variable: variable + fileSuffix, Detail: err.Error()}}}
	}
	return l.finish(checks)
}

// setLines sets variable to the entries in the content of a file.
func (l *loader) setLines(variable string, content []byte) error {
	all, err := entries(string(content))
	if err == nil && len(all) > 0 {
		l.values[variable] = strings.Join(all, ",")
	}
	return err
}

// entries returns the entries of a file, without empty lines and comments. A comment
// begins with # at the beginning of a line or after a space or tab. An empty file may
// be one that is about to be written, so a file without entries needs a comment.
func entries(text string) ([]string, error) {
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("the file is empty; want one entry per line, or a comment if there are no entries")
	}
	var all []string
	for line := range strings.Lines(text) {
		if at := comment(line); at >= 0 {
			line = line[:at]
		}
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	return all, nil
}

// comment returns the index at which the comment of a line begins, -1 if there is none.
func comment(line string) int {
	for i := range len(line) {
		if line[i] == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
			return i
		}
	}
	return -1
}

// WithoutLinesFiles returns environ without the variables that name entries files. It
// is for commands that inspect a running gateway, which keeps running while such a file
// is invalid.
func WithoutLinesFiles(environ []string) []string {
	dropped := map[string]bool{}
	for _, f := range fields() {
		if f.lines {
			dropped[f.Name+fileSuffix] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(environ), func(item string) bool {
		name, _, _ := strings.Cut(item, "=")
		return dropped[name]
	})
}
