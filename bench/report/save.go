package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Save writes results.json, results.md and results.svg into a folder, which it makes.
func (r *Run) Save(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // results are for everyone
		return err
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the results: %w", err)
	}
	var table, chart bytes.Buffer
	r.WriteMarkdown(&table)
	r.WriteChart(&chart)
	for name, content := range map[string][]byte{"results.json": append(text, '\n'), "results.md": table.Bytes(), "results.svg": chart.Bytes()} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil { //nolint:gosec // results are for everyone
			return err
		}
	}
	return nil
}

// Document replaces what is between the markers of a page by the table, and writes the
// chart beside the page.
func (r *Run) Document(page string) error {
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	const begin, end = "<!-- make bench-peers -->\n", "<!-- end -->"
	head, rest, okBegin := bytes.Cut(text, []byte(begin))
	_, tail, okEnd := bytes.Cut(rest, []byte(end))
	if !okBegin || !okEnd {
		return errors.New(page + " does not have the markers of the table")
	}
	var table, chart bytes.Buffer
	r.WriteMarkdown(&table)
	r.WriteChart(&chart)
	content := bytes.Join([][]byte{head, []byte(begin), table.Bytes(), []byte(end), tail}, nil)
	if err := os.WriteFile(page, content, 0o644); err != nil { //nolint:gosec // a page of the repository
		return err
	}
	return os.WriteFile(filepath.Join(filepath.Dir(page), "performance.svg"), chart.Bytes(), 0o644) //nolint:gosec // the same
}
