package main

import (
	"regexp"
	"slices"
	"strings"
)

// Accepted holds the mutations that no test needs to notice, with the reason, by the
// name of their package and the text of the mutation.
type Accepted map[string]map[string]string

// parseAccepted reads a document with a section ("## ") for each package and a list
// item for each mutation: file, line before, line afterwards, "(1 of 2)" if the file has
// two such mutations, and why the mutant behaves like the original. Other items are
// ignored.
func parseAccepted(document string) Accepted {
	const code = "(?:`[^`]+`|`` .+? ``)"
	item := regexp.MustCompile("^- (" + code + ": " + code + " → " + code + `(?: \(\d+ of \d+\))?): (.*)$`)
	accepted := Accepted{}
	section := ""
	for line := range strings.Lines(document) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "## "); ok {
			section = name
			continue
		}
		if parts := item.FindStringSubmatch(line); parts != nil {
			if accepted[section] == nil {
				accepted[section] = map[string]string{}
			}
			accepted[section][parts[1]] = parts[2]
		}
	}
	return accepted
}

// stale returns the accepted texts of a package that are no longer mutations of it.
func (a Accepted) stale(name string, mutations []Mutation) []string {
	found := map[string]bool{}
	for _, m := range mutations {
		found[m.String()] = true
	}
	var stale []string
	for text := range a[name] {
		if !found[text] {
			stale = append(stale, text)
		}
	}
	slices.Sort(stale)
	return stale
}
