package stats

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strconv"
)

// The media types of answers. RFC 4180 section 3 defines a parameter of CSV that states
// whether there is a header.
const (
	typeJSON = "application/json"
	typeCSV  = "text/csv; charset=utf-8; header=present"
)

// point is one bucket in the vendor's form.
type point struct {
	Time  string `json:"timeStamp"`
	Count uint64 `json:"objectStoreRequestCount"`
}

// renderPoints encodes counts.
func (q query) renderPoints(points []point) (Answer, error) {
	if !q.csv {
		return encode(points)
	}
	rows := [][]string{{"timeStamp", "objectStoreRequestCount"}}
	for _, p := range points {
		rows = append(rows, []string{p.Time, strconv.FormatUint(p.Count, 10)})
	}
	return table(rows)
}

// renderNames encodes the names directly below scope.
func (q query) renderNames(names []string, scope Scope) (Answer, error) {
	if !q.csv {
		return encode(names)
	}
	rows := [][]string{{scope.below()}}
	for _, name := range names {
		rows = append(rows, []string{harmless(name)})
	}
	return table(rows)
}

// encode writes JSON as the vendor does: without a final newline, and with "<", ">" and
// "&" unescaped.
func encode(v any) (Answer, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return Answer{}, fmt.Errorf("encoding answer: %w", err)
	}
	return Answer{Body: bytes.TrimSuffix(b.Bytes(), []byte("\n")), Type: typeJSON}, nil
}

// table writes CSV (RFC 4180), its lines ended by CRLF.
func table(rows [][]string) (Answer, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.UseCRLF = true
	if err := w.WriteAll(rows); err != nil {
		return Answer{}, fmt.Errorf("encoding answer: %w", err)
	}
	return Answer{Body: b.Bytes(), Type: typeCSV}, nil
}

// harmless prevents a spreadsheet from executing a name as a formula, by the apostrophe
// that marks a text there (OWASP, "CSV Injection"). A client that creates a store
// chooses its name, and a person who opens the table trusts it.
func harmless(name string) string {
	if name != "" && bytes.IndexByte([]byte("=+-@\t\r"), name[0]) >= 0 {
		return "'" + name
	}
	return name
}
