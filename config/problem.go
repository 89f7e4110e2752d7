package config

import (
	"strconv"
	"strings"
)

// Problem describes one thing that is wrong with the environment.
type Problem struct {
	// Variable is the full name of the variable to change.
	Variable string
	// Detail states what is wrong and what would be right. It never contains the value
	// of a secret, of an unknown variable, or of a variable that may hold credentials
	// by mistake.
	Detail string
}

// String returns the variable and the detail on one line.
func (p Problem) String() string {
	name := p.Variable
	if !only(name, "_") {
		name = quote(name)
	}
	return name + ": " + p.Detail
}

// problemError carries a Problem through the env library.
type problemError struct{ Problem }

func (e problemError) Error() string { return e.String() }

// InvalidError holds every problem of an environment, in the order of the
// documentation.
type InvalidError struct {
	Problems []Problem // never empty
}

// Error returns one line per problem.
func (e *InvalidError) Error() string {
	lines := []string{"invalid configuration:"}
	for _, p := range e.Problems {
		lines = append(lines, p.String())
	}
	return strings.Join(lines, "\n")
}

// shownBytes bounds how much of an invalid value a problem repeats.
const shownBytes = 80

// quote returns text in quotes, on one line, cut after shownBytes.
func quote(text string) string {
	if len(text) > shownBytes {
		return strconv.Quote(text[:shownBytes]) + "…"
	}
	return strconv.Quote(text)
}
