package reconcile

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// above replaces, in a table, the name of a store, region or environment without counts
// of its own.
const above = "-"

// header is the first line of a table.
var header = []string{"environment", "region", "store", "theirs", "ours", "difference"}

// fields returns the cells of a row, in the order of header.
func (r Row) fields() []string {
	return []string{
		r.Environment, r.Region, r.Store,
		strconv.FormatInt(r.Theirs, 10), strconv.FormatInt(r.Ours, 10), strconv.FormatInt(r.Difference(), 10),
	}
}

// Table writes r as text: aligned columns, the total last.
func (r *Report) Table(w io.Writer) error {
	fmt.Fprintf(w, "organization %s, %s to %s, by %s\n\n",
		r.Organization, r.From.Format(time.RFC3339), r.To.Format(time.RFC3339), r.Period)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(header, "\t"))
	for _, row := range r.Rows {
		cells := row.fields()
		for i := range cells[:3] {
			if cells[i] == "" {
				cells[i] = above
			}
			cells[i] = visible(cells[i])
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	fmt.Fprintln(t, strings.Join(append([]string{"total", "", ""}, r.Total.fields()[3:]...), "\t"))
	if err := t.Flush(); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	return nil
}

// visible prevents a name from moving a terminal's cursor or the table's columns.
func visible(name string) string {
	quoted := strconv.Quote(name)
	if quoted == `"`+name+`"` {
		return name
	}
	return quoted
}

// CSV writes r for programs and spreadsheets (RFC 4180): a header, the rows, and the
// total in a row whose environment is "total".
func (r *Report) CSV(w io.Writer) error {
	rows := [][]string{header}
	for _, row := range r.Rows {
		cells := row.fields()
		for i := range cells[:3] {
			cells[i] = harmless(cells[i])
		}
		rows = append(rows, cells)
	}
	total := r.Total
	total.Environment = "total"
	c := csv.NewWriter(w)
	c.UseCRLF = true
	if err := c.WriteAll(append(rows, total.fields())); err != nil {
		return fmt.Errorf("writing CSV: %w", err)
	}
	return nil
}

// harmless prevents a spreadsheet from executing a name as a formula (OWASP, "CSV
// Injection").
func harmless(name string) string {
	if name != "" && strings.IndexByte("=+-@\t\r", name[0]) >= 0 {
		return "'" + name
	}
	return name
}

// compared is a row in JSON.
type compared struct {
	Row
	Difference int64 `json:"difference"`
}

// JSON writes r as one object.
func (r *Report) JSON(w io.Writer) error {
	rows := make([]compared, len(r.Rows))
	for i, row := range r.Rows {
		rows[i] = compared{row, row.Difference()}
	}
	type sums struct {
		Theirs     int64 `json:"theirs"`
		Ours       int64 `json:"ours"`
		Difference int64 `json:"difference"`
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(struct {
		Organization string     `json:"organization"`
		From         time.Time  `json:"from"`
		To           time.Time  `json:"to"`
		Period       Period     `json:"period"`
		Rows         []compared `json:"rows"`
		Total        sums       `json:"total"`
	}{r.Organization, r.From, r.To, r.Period, rows, sums{r.Total.Theirs, r.Total.Ours, r.Total.Difference()}})
	if err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	return nil
}
