// Package archtest holds the shape of this module as data and checks the
// source against it: who may import whom, that every package says in one
// comment what it is for, what must never be linked into a command, and that the
// documents of promises name tests that exist.
//
// The rules are in table.go; the test of this package applies them to the
// module it stands in, so that a wrong arrow fails like any other bug. It
// judges imports, comments and names alone, never what code does.
package archtest

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Check returns what the packages break of the table, one line for each
// breach, in the order of the packages; none if all is well. An import is
// reported with the file that holds it.
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

// checkImports returns a line for each arrow from p that the rule lacks.
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

// hint explains the arrow that only test files may draw.
func (r Rule) hint(f File, imported string) string {
	if !f.Test && slices.Contains(r.Tests, imported) {
		return " (only its tests may)"
	}
	return ""
}

// checkComment returns a line for each fault in the package comment of p. In a
// package of tests alone the test files carry it.
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
			breaches = append(breaches, fmt.Sprintf("%s: the package comment begins otherwise than with %q",
				path.Join(p.Dir, f.Name), begin))
		}
	}
	switch {
	case len(holders) == 0:
		breaches = append(breaches, fmt.Sprintf("%s: no package comment; begin one with %q", p.Dir, begin))
	case len(holders) > 1:
		breaches = append(breaches, fmt.Sprintf("%s: more than one package comment: %s", p.Dir, strings.Join(holders, ", ")))
	}
	return breaches
}

// begins reports whether the first two words of doc are those of begin, with
// or without punctuation after them.
func begins(doc, begin string) bool {
	words := strings.Fields(doc)
	return len(words) >= 2 && words[0]+" "+strings.TrimRight(words[1], ",.:;") == begin
}
