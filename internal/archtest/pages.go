package archtest

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// CheckPageLinks returns a line for each link of a page to a file or a heading that does
// not exist. Links with a scheme, such as https, are not followed.
func CheckPageLinks(root fs.FS, pages []Page) []string {
	byName := map[string]Page{}
	for _, p := range pages {
		byName[p.Name] = p
	}
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	code := regexp.MustCompile("`[^`\n]*`")
	scheme := regexp.MustCompile(`^[a-z]+:`)
	var breaches []string
	for _, p := range pages {
		for _, found := range link.FindAllStringSubmatch(code.ReplaceAllString(p.Prose, ""), -1) {
			if scheme.MatchString(found[1]) {
				continue
			}
			file, anchor, _ := strings.Cut(found[1], "#")
			target := p.Name
			if file != "" {
				target = path.Join(path.Dir(p.Name), file)
			}
			if _, err := fs.Stat(root, target); err != nil {
				breaches = append(breaches, fmt.Sprintf("%s: the link %s leads to no file", p.Name, found[1]))
			} else if other, page := byName[target]; page && anchor != "" && !slices.Contains(other.Anchors, anchor) {
				breaches = append(breaches, fmt.Sprintf("%s: the link %s leads to no heading", p.Name, found[1]))
			}
		}
	}
	return breaches
}

// CheckLength returns a line for each page of more than limit words that is not in
// longer, and for each page of longer that is not longer than limit.
func CheckLength(pages []Page, limit int, longer map[string]string) []string {
	var breaches []string
	seen := map[string]bool{}
	for _, p := range pages {
		seen[p.Name] = true
		_, listed := longer[p.Name]
		switch words := p.Words(); {
		case words > limit && !listed:
			breaches = append(breaches, fmt.Sprintf("%s: %d words, want at most %d: split it by reader", p.Name, words, limit))
		case words <= limit && listed:
			breaches = append(breaches, fmt.Sprintf("%s: %d words, so that it needs no exception", p.Name, words))
		}
	}
	for name := range longer {
		if !seen[name] {
			breaches = append(breaches, name+": an exception for a page that does not exist")
		}
	}
	slices.Sort(breaches)
	return breaches
}

// CheckBlocks returns a line for each code block without a language, and for each shell
// block that runs in no test. A shell block begins with "```sh" and belongs to a page of
// tested, or with "```sh not-run: reason".
func CheckBlocks(pages []Page, tested map[string]string) []string {
	var breaches []string
	for _, p := range pages {
		_, runs := tested[p.Name]
		for _, b := range p.Blocks {
			language, rest, _ := strings.Cut(b.Info, " ")
			reason, marked := strings.CutPrefix(rest, "not-run: ")
			switch {
			case language == "":
				breaches = append(breaches, fmt.Sprintf("%s:%d: a block without a language; output is text", p.Name, b.Line))
			case language != "sh" || marked && reason != "":
			case rest != "" || !runs:
				breaches = append(breaches, fmt.Sprintf("%s:%d: a shell block that no test runs and that is not marked as sh not-run: REASON",
					p.Name, b.Line))
			}
		}
	}
	return breaches
}

// CheckIndex returns a line for each page of a folder that the index does not link.
func CheckIndex(pages []Page, index string) []string {
	folder := path.Dir(index)
	at := slices.IndexFunc(pages, func(p Page) bool { return p.Name == index })
	if at < 0 {
		return []string{index + " does not exist"}
	}
	var breaches []string
	for _, p := range pages {
		if path.Dir(p.Name) == folder && p.Name != index &&
			!strings.Contains(pages[at].Prose, "]("+path.Base(p.Name)+")") {
			breaches = append(breaches, fmt.Sprintf("%s does not link %s", index, path.Base(p.Name)))
		}
	}
	return breaches
}

// FirstColumn returns the names in backquotes of the first column of a page's tables,
// without their labels.
func (p Page) FirstColumn() []string {
	var names []string
	for line := range strings.Lines(p.Prose) {
		cell, ok := strings.CutPrefix(line, "| `")
		if !ok {
			continue
		}
		cell, _, _ = strings.Cut("`"+cell, " |")
		for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
			names = append(names, name[1])
		}
	}
	return names
}
