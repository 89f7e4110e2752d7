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

	"osgate/auth"
)

// casesSuffix is the end of the names of files with cases.
const casesSuffix = ".cases.json"

// Case is one request with the decision that is expected: an element of the array in a
// *.cases.json file. Fields that are left out have the values of a plain request: a
// client that belongs to the request's organization, an environment of unknown type, no
// body.
type Case struct {
	Name   string `json:"name,omitzero"`
	Client string `json:"client,omitzero"`
	// For which the client acts, or which calls without a client.
	User string `json:"user,omitzero"`
	// "jwt" or "mtls" for a client without an Anypoint token, with the issuer of its
	// credential; left out: an Anypoint token.
	IdentifiedBy auth.Method `json:"identifiedBy,omitzero"`
	Issuer       string      `json:"issuer,omitzero"`
	// Of the principal; left out: the request's organization.
	Organizations []string `json:"organizations,omitzero"`
	// "GET /us/us-east-1/api/v1/…", as a client sends it.
	Request string            `json:"request"`
	Headers map[string]string `json:"headers,omitzero"`

	EnvironmentType string     `json:"environmentType,omitzero"`
	ValueBytes      int64      `json:"valueBytes,omitzero"`
	ValueType       string     `json:"valueType,omitzero"`  // for putKey and postKey
	TTLSeconds      *int64     `json:"ttlSeconds,omitzero"` // for putStore and patchStore
	SourceIP        netip.Addr `json:"sourceIP,omitzero"`   // left out: 127.0.0.1
	Time            time.Time  `json:"time,omitzero"`       // left out: now

	Expect string   `json:"expect"`          // "allow" or "deny"
	Rule   string   `json:"rule,omitzero"`   // which decides; left out: any
	Shadow []string `json:"shadow,omitzero"` // rules in shadow mode that would deny; left out: any
	Errors []string `json:"errors,omitzero"` // rules whose evaluation fails; left out: any
}

// Failure is a case whose decision differs from the expected one.
type Failure struct {
	File    string
	Number  int // of the case in its file, from 1
	Name    string
	Request string
	Want    string // the expected outcome in one line
	Got     string // the actual outcome in the same form
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

// RunCases checks the cases of the *.cases.json files in folder; folder may also be one
// such file. It returns an error if a file cannot be read, or if no gateway with these
// rules could receive the request of a case, for example because located does not know
// its plane and region (region may be ""). If located is nil, all are known.
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

// run decides on r, the request of c. It returns the outcome in the form of want, and
// the errors of rules whose evaluation failed.
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

// want returns the expected outcome of c in one line: "deny by no-deletes, in shadow
// mode: a b, failing: c".
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
