package archtest

import (
	"encoding/xml"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// wordsOfAPage is the most that a reader takes in at one sitting.
const wordsOfAPage = 1500

// longPages are the pages that may be longer, with the reason.
var longPages = map[string]string{
	"CHANGELOG.md":         "a reader looks up one version",
	"SECURITY.md":          "one model of trust, which a reviewer reads whole",
	"docs/architecture.md": "a contributor reads one section; the table of imports is checked as a whole",
	"docs/faults.md":       "a table of measurements",
	"docs/glossary.md":     "a reference: a reader looks up one term",
	"docs/promises.md":     "a table of tests, which a test compares with the code",
}

// testedPages are the pages whose shell blocks a test runs.
var testedPages = map[string]string{
	"docs/quickstart-emulator.md": "e2e.TestQuickStartWorksAsPasted",
	"docs/install.md":             "deploy/packagetest.TestInstallPageWorksAsPasted",
}

func readPages(t *testing.T) []Page {
	t.Helper()
	pages, err := ReadPages(os.DirFS(moduleRoot))
	if err != nil {
		t.Fatal(err)
	}
	if len(pages) < 60 {
		t.Fatalf("only %d pages were found", len(pages))
	}
	return pages
}

func page(t *testing.T, name string) Page {
	t.Helper()
	pages := readPages(t)
	at := slices.IndexFunc(pages, func(p Page) bool { return p.Name == name })
	if at < 0 {
		t.Fatalf("there is no page %s", name)
	}
	return pages[at]
}

func TestLinksOfPagesLeadSomewhere(t *testing.T) {
	for _, breach := range CheckPageLinks(os.DirFS(moduleRoot), readPages(t)) {
		t.Error(breach)
	}
}

func TestPagesAreShort(t *testing.T) {
	for _, breach := range CheckLength(readPages(t), wordsOfAPage, longPages) {
		t.Error(breach)
	}
}

func TestShellBlocksRunOrSayWhyNot(t *testing.T) {
	for _, breach := range CheckBlocks(readPages(t), testedPages) {
		t.Error(breach)
	}
}

func TestXMLBlocksAreWellFormed(t *testing.T) {
	for _, p := range readPages(t) {
		for _, b := range p.Blocks {
			if b.Info != "xml" {
				continue
			}
			decoder := xml.NewDecoder(strings.NewReader(b.Text))
			var err error
			for err == nil {
				_, err = decoder.Token()
			}
			if !errors.Is(err, io.EOF) {
				t.Errorf("%s:%d: %v", p.Name, b.Line, err)
			}
		}
	}
}

func TestTheIndexLinksEveryPage(t *testing.T) {
	for _, breach := range CheckIndex(readPages(t), "docs/README.md") {
		t.Error(breach)
	}
}

// TestEachErrorCodeHasItsRow compares the codes of record with the rows of docs/errors.md.
func TestEachErrorCodeHasItsRow(t *testing.T) {
	source, err := fs.ReadFile(os.DirFS(moduleRoot), "record/code.go")
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	for _, found := range regexp.MustCompile(`Code\w+ +Code = "([^"]+)"`).FindAllStringSubmatch(string(source), -1) {
		codes = append(codes, found[1])
	}
	if len(codes) < 15 {
		t.Fatalf("only %d codes in record/code.go", len(codes))
	}
	compare(t, "docs/errors.md", page(t, "docs/errors.md").FirstColumn(), codes)
}

// TestEachHeaderHasItsRow: the headers that proxy sets on answers are in the first table
// of docs/headers.md, and each header of that table is in the code.
func TestEachHeaderHasItsRow(t *testing.T) {
	root := os.DirFS(moduleRoot)
	answers, _, _ := strings.Cut(page(t, "docs/headers.md").Prose, "\n## Requests\n")
	documented := Page{Prose: answers}.FirstColumn()
	var set []string
	for _, name := range []string{"headers.go", "refuse.go", "admit.go", "answer.go", "reply.go"} {
		source, err := fs.ReadFile(root, path.Join("proxy", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(`\b(?:h|Header)\.(?:Set|Add)\("([A-Za-z-]+)"`).FindAllStringSubmatch(string(source), -1) {
			set = append(set, found[1])
		}
	}
	if len(set) < 10 {
		t.Fatalf("only %d headers are set in proxy", len(set))
	}
	usual := []string{"Connection", "Content-Type", "Content-Length", "Date"} // of every answer
	for _, name := range set {
		if !slices.Contains(documented, name) && !slices.Contains(usual, name) {
			t.Errorf("docs/headers.md has no row for %s, which proxy sets", name)
		}
	}
	source := strings.ToLower(sourceOf(t, root, "proxy", "cache", "ratelimit"))
	for _, name := range documented {
		if !strings.Contains(source, `"`+strings.ToLower(name)+`"`) {
			t.Errorf("docs/headers.md has a row for %s, which the code does not know", name)
		}
	}
}

// TestNamedSettingsExist: each OSGATE_ variable that a page names is a row of
// docs/configuration.md. cmd/osgate compares these rows with the code.
func TestNamedSettingsExist(t *testing.T) {
	settings := append(page(t, "docs/configuration.md").FirstColumn(),
		"OSGATE_TOKEN", "OSGATE_BASE") // of osgate stats reconcile and of make bench-peers
	named := regexp.MustCompile(`OSGATE_[A-Z0-9_]*[A-Z0-9](?:[_…]*…)?`)
	for _, p := range readPages(t) {
		if p.Name == "CHANGELOG.md" || strings.HasPrefix(p.Name, "docs/adr/") || p.Name == "docs/configuration.md" {
			continue // the first two also name former settings, the last one names patterns
		}
		text := p.Prose
		for _, b := range p.Blocks {
			text += b.Text
		}
		for _, name := range named.FindAllString(text, -1) {
			prefix, abbreviated := strings.CutSuffix(name, "…")
			known := slices.ContainsFunc(settings, func(s string) bool {
				return s == name || s == strings.TrimSuffix(name, "_FILE") || abbreviated && strings.HasPrefix(s, prefix)
			})
			if !known {
				t.Errorf("%s names %s, which is no setting", p.Name, name)
			}
		}
	}
}

// compare reports the names that only one of the two sides has.
func compare(t *testing.T, document string, documented, code []string) {
	t.Helper()
	for _, name := range code {
		if !slices.Contains(documented, name) {
			t.Errorf("%s has no row for %s", document, name)
		}
	}
	for _, name := range documented {
		if !slices.Contains(code, name) {
			t.Errorf("%s has a row for %s, which the code does not have", document, name)
		}
	}
}

// sourceOf returns the text of all Go files below the folders, tests excluded.
func sourceOf(t *testing.T, root fs.FS, folders ...string) string {
	t.Helper()
	var all strings.Builder
	for _, folder := range folders {
		err := fs.WalkDir(root, folder, func(name string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return err
			}
			text, err := fs.ReadFile(root, name)
			all.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all.String()
}

func TestFaultsOfPagesAreReported(t *testing.T) {
	fsys := fstest.MapFS{}
	for name, text := range map[string]string{
		"README.md":      "# It\n\n[a](docs/a.md#two-words-1) [b](docs/b.md) [c](docs/a.md#gone) [d](https://x/y) `[e](gone)`\n",
		"docs/README.md": "[a](a.md)\n",
		"docs/a.md":      "# A\n\n## Two *words*\n\n## Two words\n\n```sh\nls\n```\n\n```sh not-run: no reason\nls\n```\n\n```\nx\n```\n",
		"docs/long.md":   strings.Repeat("word ", 11),
		"docs/.x/y.md":   "[gone](gone)\n",
	} {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	pages, err := ReadPages(fsys)
	if err != nil {
		t.Fatal(err)
	}
	got := slices.Concat(CheckPageLinks(fsys, pages), CheckLength(pages, 10, map[string]string{"docs/a.md": "", "gone.md": ""}),
		CheckBlocks(pages, map[string]string{"README.md": ""}), CheckIndex(pages, "docs/README.md"))
	want := []string{
		"README.md: the link docs/b.md leads to no file",
		"README.md: the link docs/a.md#gone leads to no heading",
		"docs/a.md: 5 words, so that it needs no exception",
		"docs/long.md: 11 words, want at most 10: split it by reader",
		"gone.md: an exception for a page that does not exist",
		"docs/a.md:7: a shell block that no test runs and that is not marked as sh not-run: REASON",
		"docs/a.md:15: a block without a language; output is text",
		"docs/README.md does not link long.md",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if tested := CheckBlocks(pages, map[string]string{"docs/a.md": ""}); len(tested) != 1 {
		t.Errorf("with docs/a.md tested: %v", tested)
	}
}
