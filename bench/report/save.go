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
	files := map[string][]byte{
		"results.json": append(text, '\n'), "results.md": table.Bytes(), "results.svg": chart.Bytes(),
	}
	for name, content := range files {
		if err := write(filepath.Join(dir, name), content); err != nil {
			return err
		}
	}
	return nil
}

// Document replaces the text between the markers of a page by the table, and writes the
// chart into the folder of the page.
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
	if err := write(page, content); err != nil {
		return err
	}
	return write(filepath.Join(filepath.Dir(page), "performance.svg"), chart.Bytes())
}

// write writes a file that everyone may read.
func write(file string, content []byte) error {
	return os.WriteFile(file, content, 0o644) //nolint:gosec // results are no secret
}
