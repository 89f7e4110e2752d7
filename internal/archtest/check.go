// Package archtest holds the architecture of this module as data and checks the source
// against it: which package may import which, that every package has exactly one
// comment with its purpose, which packages must never be linked into a command, and
// that the documents of promises name existing tests.
//
// The rules are in table.go. The test of this package applies them to this module, so
// that a forbidden import fails like any other bug. It checks imports, comments and
// names only, never the behavior of code.
package archtest

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Check returns one line for each way in which the packages break the table, in the
// order of the packages, and nil if they keep it. A forbidden import is reported with
// its file.
func (t Table) Check(pkgs []Package) []string {
	var breaches []string
	for _, p := range pkgs {
		breaches = append(breaches, checkComment(p)...)
		rule, ok := t[p.Dir]
		if !ok {
			breaches = append(breaches, p.Dir+": package is not in the import table (internal/archtest/table.go)")
			continue
		}
		breaches = append(breaches, rule.checkImports(p)...)
	}
	return breaches
}

// checkImports returns a line for each import of p that the rule does not allow.
func (r Rule) checkImports(p Package) []string {
	var breaches []string
	for _, f := range p.Files {
		for _, imported := range f.Imports {
			switch {
			case slices.Contains(r.Imports, imported):
			case f.Test && (imported == p.Dir || slices.Contains(r.Tests, imported)):
			default:
				breaches = append(breaches, fmt.Sprintf("%s: %s → %s is not in the import table%s",
					path.Join(p.Dir, f.Name), p.Dir, imported, r.hint(f, imported)))
			}
		}
	}
	return breaches
}

// hint explains an import that is allowed in test files only.
func (r Rule) hint(f File, imported string) string {
	if !f.Test && slices.Contains(r.Tests, imported) {
		return " (only its tests may)"
	}
	return ""
}

// checkComment returns a line for each fault in the package comment of p. In a package
// that has test files only, a test file contains the comment.
func checkComment(p Package) []string {
	testsOnly := !slices.ContainsFunc(p.Files, func(f File) bool { return !f.Test })
	begin := "Package " + p.Name
	if p.Name == "main" {
		begin = "Command " + path.Base(p.Dir)
	}
	var breaches, holders []string
	for _, f := range p.Files {
		if f.Doc == "" || f.Test != testsOnly {
			continue
		}
		holders = append(holders, f.Name)
		if !begins(f.Doc, begin) {
			breaches = append(breaches, fmt.Sprintf("%s: the package comment must begin with %q",
				path.Join(p.Dir, f.Name), begin))
		}
	}
	switch {
	case len(holders) == 0:
		breaches = append(breaches, fmt.Sprintf("%s: no package comment; begin one with %q", p.Dir, begin))
	case len(holders) > 1:
		breaches = append(breaches,
			fmt.Sprintf("%s: more than one package comment: %s", p.Dir, strings.Join(holders, ", ")))
	}
	return breaches
}

// begins reports whether the first two words of doc are those of begin, with or without
// punctuation after them.
func begins(doc, begin string) bool {
	words := strings.Fields(doc)
	return len(words) >= 2 && words[0]+" "+strings.TrimRight(words[1], ",.:;") == begin
}
