package policy

import (
	"fmt"
	"strings"
)

// Problem is one error in a policy file.
type Problem struct {
	File string
	// From 1; the line of the rule's first character if that of the error is unknown; 0:
	// the file as a whole.
	Line    int
	Column  int // from 1
	Rule    string
	Message string
}

// String returns the problem in one line, as compilers do: "file:line:column: rule: message".
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": ")
	if p.Rule != "" {
		fmt.Fprintf(&b, "rule %s: ", p.Rule)
	}
	b.WriteString(p.Message)
	return b.String()
}

// LoadError lists all problems because of which the rules cannot be used, in the order
// of the files.
type LoadError struct {
	Problems []Problem

	cause error // ErrNoRules, or nil for other problems
}

// Unwrap returns [ErrNoRules] if that is the problem, otherwise nil.
func (e *LoadError) Unwrap() error { return e.cause }

// maxReported is the largest number of problems in the text of Error.
const maxReported = 20

// Error returns the problems, separated by "; ".
func (e *LoadError) Error() string {
	var texts []string
	for i, p := range e.Problems {
		if i == maxReported {
			texts = append(texts, fmt.Sprintf("and %d more", len(e.Problems)-maxReported))
			break
		}
		texts = append(texts, p.String())
	}
	return "policy: " + strings.Join(texts, "; ")
}
