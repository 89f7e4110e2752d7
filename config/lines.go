package config

import (
	"errors"
	"maps"
	"slices"
	"strings"
)

// MaxLinesBytes bounds a file of entries: room for some ten thousand.
const MaxLinesBytes = 1 << 20

// LinesFiles returns the files of entries that were given, by the variable that each is
// for: "OSGATE_ROUTES". They may change while the gateway runs, see [Config.WithLines].
func (c Config) LinesFiles() map[string]string {
	return maps.Collect(func(yield func(string, string) bool) {
		for _, f := range fields() {
			if path, given := c.files[f.Name]; f.lines && given && !yield(f.Name, path) {
				return
			}
		}
	})
}

// WithLines returns c with what content says of variable in place of what its file said
// when c was read, checked as a whole by the rules and checks of [Load]. Where anything
// is wrong it returns an [*InvalidError].
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

// readLines reads a file of entries.
func (l *loader) readLines(variable, path string) error {
	content, err := readWhole(path, MaxLinesBytes)
	if err != nil {
		return err
	}
	return l.setLines(variable, content)
}

// setLines gives variable the entries of a file.
func (l *loader) setLines(variable string, content []byte) error {
	all, err := entries(string(content))
	if err == nil && len(all) > 0 {
		l.values[variable] = strings.Join(all, ",")
	}
	return err
}

// entries returns what stands on the lines of a file, without empty lines and comments.
// A comment begins with # at the beginning of a line or behind a blank. A file without
// anything may be one that is about to be written; without entries it needs a comment.
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

// comment returns where the comment of a line begins, -1 where there is none.
func comment(line string) int {
	for i := range len(line) {
		if line[i] == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
			return i
		}
	}
	return -1
}

// WithoutLinesFiles returns environ without the variables that name files of entries:
// for commands that look at a running gateway, which goes on while such a file is wrong.
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
