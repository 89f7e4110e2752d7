package policy

import (
	"fmt"
	"strings"
)

// Problem is one fault of a policy file.
type Problem struct {
	File    string
	Line    int // from 1; of the rule's first character where the fault's own place is not known; 0: the file as a whole
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

// LoadError is why the rules cannot be taken: every fault, in the order of the files.
type LoadError struct {
	Problems []Problem

	cause error // ErrNoRules; nil: the problems are all there is
}

// Unwrap returns [ErrNoRules] where that is the problem, else nil.
func (e *LoadError) Unwrap() error { return e.cause }

// maxTold is how many problems Error tells.
const maxTold = 20

// Error returns the problems, separated by "; ".
func (e *LoadError) Error() string {
	var told []string
	for i, p := range e.Problems {
		if i == maxTold {
			told = append(told, fmt.Sprintf("and %d more", len(e.Problems)-maxTold))
			break
		}
		told = append(told, p.String())
	}
	return "policy: " + strings.Join(told, "; ")
}
