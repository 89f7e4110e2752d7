package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// casesSuffix is how the names of files with cases end.
const casesSuffix = ".cases.json"

// Case is one request with the decision that is expected: an element of the array that a *.cases.json file is. What is left out is as in a plain
// request: of a client that belongs to the request's organization, in an environment of unknown type, without a body.
type Case struct {
	Name          string            `json:"name,omitzero"`
	Client        string            `json:"client,omitzero"`
	User          string            `json:"user,omitzero"`          // that the client acts for, or that calls without one
	Organizations []string          `json:"organizations,omitzero"` // that the principal belongs to; left out: the request's
	Request       string            `json:"request"`                // "GET /us/us-east-1/api/v1/…", as a client sends it
	Headers       map[string]string `json:"headers,omitzero"`

	EnvironmentType string     `json:"environmentType,omitzero"`
	ValueBytes      int64      `json:"valueBytes,omitzero"`
	ValueType       string     `json:"valueType,omitzero"`  // of putKey and postKey
	TTLSeconds      *int64     `json:"ttlSeconds,omitzero"` // of putStore and patchStore
	SourceIP        netip.Addr `json:"sourceIP,omitzero"`   // left out: 127.0.0.1
	Time            time.Time  `json:"time,omitzero"`       // left out: now

	Expect string   `json:"expect"`          // "allow" or "deny"
	Rule   string   `json:"rule,omitzero"`   // that decides; left out: any
	Shadow []string `json:"shadow,omitzero"` // rules in shadow mode that would deny; left out: any
	Errors []string `json:"errors,omitzero"` // rules whose evaluation fails; left out: any
}

// Failure is a case that came out otherwise.
type Failure struct {
	File    string
	Number  int // of the case in its file, from 1
	Name    string
	Request string
	Want    string // as the case has it, in one line
	Got     string // in the same words
}

// String returns the failure as a diff of two lines below the case's name and request.
func (f Failure) String() string {
	return fmt.Sprintf("%s, case %d %q: %s\n  - %s\n  + %s", f.File, f.Number, f.Name, f.Request, f.Want, f.Got)
}

// Report is the outcome of [RunCases].
type Report struct {
	Cases    int
	Failures []Failure
}

// RunCases decides on the cases of the *.cases.json files in folder, or of the one file that folder is. It fails where a file cannot be read or a
// case is none that a gateway with these rules could meet, such as one in a place that located does not know (region may be ""); nil: it knows all.
func RunCases(rs *Rules, folder string, located func(plane, region string) bool) (Report, error) {
	var report Report
	names := []string{""}
	if !strings.HasSuffix(folder, casesSuffix) {
		var err error
		if names, err = list(folder, casesSuffix); err != nil {
			return report, err
		}
	}
	for _, name := range names {
		path := filepath.Join(folder, name)
		cases, err := readCases(path)
		if err != nil {
			return report, err
		}
		for i, c := range cases {
			r, err := c.request(rs, located)
			if err != nil {
				return report, fmt.Errorf("%s, case %d %q: %w", path, i+1, c.Name, err)
			}
			report.Cases++
			got, errs := c.run(rs, r)
			if want := c.want(); want != got {
				report.Failures = append(report.Failures, Failure{path, i + 1, c.Name, c.Request, want, got + errs})
			}
		}
	}
	return report, nil
}

// readCases reads a file of cases.
func readCases(path string) ([]Case, error) {
	f, err := readFile(path, maxBytes)
	if err != nil {
		return nil, err
	}
	text := f.Text
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var cases []Case
	if err := d.Decode(&cases); err != nil {
		offset := d.InputOffset()
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			offset = syntax.Offset
		}
		line := 1 + bytes.Count(text[:min(int(offset), len(text))], []byte("\n"))
		return nil, fmt.Errorf("reading cases: %s, near line %d: %w", path, line, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		line := 1 + bytes.Count(text[:d.InputOffset()], []byte("\n"))
		return nil, fmt.Errorf("reading cases: %s, near line %d: something follows the array of cases", path, line)
	}
	if cases == nil {
		return nil, fmt.Errorf("reading cases: %s: it is no array of cases", path)
	}
	return cases, nil
}

// run decides on r, which is c's, and returns the outcome in the words of want, and beside it what failed on the way.
func (c *Case) run(rs *Rules, r Request) (outcome, errs string) {
	d := rs.Decide(r)
	got := Case{Expect: "deny", Rule: d.Rule}
	if d.Allowed {
		got.Expect = "allow"
	}
	if got.Expect == c.Expect && c.Rule == "" {
		got.Rule = ""
	}
	if c.Shadow != nil {
		got.Shadow = make([]string, 0, len(d.Shadow))
		for _, denial := range d.Shadow {
			got.Shadow = append(got.Shadow, denial.Rule)
		}
	}
	if c.Errors != nil {
		got.Errors = make([]string, 0, len(d.Errors))
	}
	for _, e := range d.Errors {
		if c.Errors != nil {
			got.Errors = append(got.Errors, e.Rule)
		}
		errs += "; " + e.Error()
	}
	return got.want(), errs
}

// want returns what c expects in one line: "deny by no-deletes, in shadow mode: a b, failing: c".
func (c *Case) want() string {
	out := c.Expect
	if c.Rule != "" {
		out += " by " + c.Rule
	}
	if c.Shadow != nil {
		out += ", in shadow mode: " + strings.Join(slices.Sorted(slices.Values(c.Shadow)), " ")
	}
	if c.Errors != nil {
		out += ", failing: " + strings.Join(slices.Sorted(slices.Values(c.Errors)), " ")
	}
	return out
}
