package archtest

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
)

// A Page is a Markdown file, split into its prose and its code blocks.
type Page struct {
	Name    string   // path below the module's root
	Prose   string   // text outside of code blocks, with as many lines as the file
	Blocks  []Block  // code blocks, in order
	Anchors []string // anchors of headings, as GitHub makes them, and of <a id="…">
}

// A Block is a fenced code block of a Page.
type Block struct {
	Line int    // of the opening fence
	Info string // text after the opening fence
	Text string
}

// ReadPages parses all Markdown files below root, except those of folders whose name
// begins with "." or is node_modules or testdata.
func ReadPages(root fs.FS) ([]Page, error) {
	var pages []Page
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules" || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".md"):
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		pages = append(pages, parsePage(name, string(text)))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the pages: %w", err)
	}
	return pages, nil
}

func parsePage(name, text string) Page {
	p := Page{Name: name}
	var prose strings.Builder
	var open *Block
	n := 0
	for line := range strings.Lines(text) {
		n++
		info, fence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case fence && open == nil:
			open = &Block{Line: n, Info: strings.TrimSpace(info)}
		case fence:
			p.Blocks = append(p.Blocks, *open)
			open = nil
		case open != nil:
			open.Text += line
		default:
			prose.WriteString(line)
			continue
		}
		prose.WriteByte('\n')
	}
	p.Prose = prose.String()
	p.Anchors = anchors(p.Prose)
	return p
}

// anchors returns the anchors of headings as GitHub makes them: lower case, hyphens for
// spaces, other punctuation removed, a number after each repetition.
func anchors(prose string) []string {
	var found []string
	link := regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	dropped := regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	for _, heading := range regexp.MustCompile(`(?m)^#{1,6} +(.*)$`).FindAllStringSubmatch(prose, -1) {
		text := dropped.ReplaceAllString(strings.ToLower(link.ReplaceAllString(heading[1], "$1")), "")
		anchor := strings.ReplaceAll(strings.TrimSpace(text), " ", "-")
		for n, first := 1, anchor; slices.Contains(found, anchor); n++ {
			anchor = fmt.Sprintf("%s-%d", first, n)
		}
		found = append(found, anchor)
	}
	for _, id := range regexp.MustCompile(`<a id="([^"]+)">`).FindAllStringSubmatch(prose, -1) {
		found = append(found, id[1])
	}
	return found
}

// Words returns the number of words of the prose: fields that contain a letter.
func (p Page) Words() int {
	letter := regexp.MustCompile(`\p{L}`)
	words := 0
	for field := range strings.FieldsSeq(p.Prose) {
		if letter.MatchString(field) {
			words++
		}
	}
	return words
}
