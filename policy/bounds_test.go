package policy

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"osgate/internal/watch"
)

// TestDeepAndLongRulesAreFoundBeforeTheParser, whose stack grows with both. Brackets in
// strings and comments do not count, nor those of the rule before.
func TestDeepAndLongRulesAreFoundBeforeTheParser(t *testing.T) {
	deep, tooMany := strings.Repeat("(", maxDepth), strings.Repeat("(", maxDepth+1)
	for name, tt := range map[string]struct {
		text string
		line int // 0: no problem
	}{
		"as deep as may be":               {deep, 0},
		"deeper":                          {tooMany, 1},
		"deeper in the third line":        {"\n\n" + tooMany, 3},
		"of three kinds":                  {strings.Repeat("([{", maxDepth/3) + "((", 1},
		"closed again":                    {strings.Repeat("()", 200) + strings.Repeat("[]", 200) + strings.Repeat("{}", 200), 0},
		"of two rules":                    {deep + ";" + deep, 0},
		"in a string":                     {`"` + tooMany + `"`, 0},
		"behind a string":                 {`"a"` + tooMany, 1},
		"behind an escaped quote":         {`"\"` + tooMany + `"`, 0},
		"behind an escaped backslash":     {`"\\"` + tooMany, 1},
		"behind a backslash, no string":   {`\"` + tooMany + `"`, 0},
		"in a comment":                    {"//" + tooMany, 0},
		"behind a comment":                {"// a\n" + tooMany, 2},
		"behind a comment that is empty":  {"//\n" + tooMany, 2},
		"behind a quote in a comment":     {"// \"\n" + tooMany, 2},
		"behind a slash":                  {"/ " + tooMany, 1},
		"behind a slash of a string":      {`"//` + "\"" + tooMany, 1},
		"a slash at the end":              {"/", 0},
		"a comment at the end":            {"//", 0},
		"as long as may be":               {strings.Repeat(" ", maxRuleLength+1), 0},
		"longer":                          {strings.Repeat(" ", maxRuleLength+2), 1},
		"longer in its second line":       {"\n" + strings.Repeat(" ", maxRuleLength+1), 2},
		"two rules as long as may be":     {strings.Repeat(" ", maxRuleLength) + ";" + strings.Repeat(" ", maxRuleLength), 0},
		"a second rule that is longer":    {strings.Repeat(" ", 9) + ";" + strings.Repeat(" ", maxRuleLength+1), 1},
		"a bracket that is closed before": {")" + deep, 0},
	} {
		got := tooDeep(watch.File{Name: "f.cedar", Text: []byte(tt.text)})
		if (got != nil) != (tt.line > 0) || got != nil && (got.Line != tt.line || got.File != "f.cedar" || got.Column != 1) {
			t.Errorf("%s: %v, want a problem in line %d (0: none)", name, got, tt.line)
		}
	}
}

func TestAnnotationsHaveTheirLengthAndLetters(t *testing.T) {
	for _, tt := range []struct {
		key, value string
		ok         bool
	}{
		{"id", strings.Repeat("x", maxID), true}, {"id", strings.Repeat("x", maxID+1), false}, {"id", "", false}, {"id", DefaultRule, false},
		{"reason", strings.Repeat("x", maxReason), true}, {"reason", strings.Repeat("x", maxReason+1), false}, {"reason", "", false},
		{"reason", "a\nb", false},
	} {
		if problem := new(rule).annotate(tt.key, tt.value); (problem == "") != tt.ok {
			t.Errorf("@%s of %d bytes: %q, want it taken: %t", tt.key, len(tt.value), problem, tt.ok)
		}
	}
	for c := range rune(128) {
		want := strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/", c)
		if got := new(rule).annotate("id", "x"+string(c)) == ""; got != want {
			t.Errorf("an id with %q is taken: %t, want %t", c, got, want)
		}
	}
}

func TestHeaderNamesAreTokensInOrderEachOnce(t *testing.T) {
	got, err := headerNames([]string{"X-B", " x-a ", "x-b", "X-A"})
	if err != nil || !slices.Equal(got, []string{"x-a", "x-b"}) {
		t.Errorf("%q, %v", got, err)
	}
	for c := rune('!'); c < 128; c++ {
		want := strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~", c)
		if _, err := headerNames([]string{"x" + string(c)}); (err == nil) != want {
			t.Errorf("a header with %q: %v, want it taken: %t", c, err, want)
		}
	}
	var names []string
	for n := range maxHeader + 1 {
		if _, err := headerNames(names); err != nil {
			t.Errorf("%d headers: %v", n, err)
		}
		names = append(names, fmt.Sprint("x-", n))
	}
	if _, err := headerNames(names); err == nil {
		t.Errorf("%d headers are taken", len(names))
	}
}

// TestManyProblemsAreReportedInPart, and how many are not.
func TestManyProblemsAreReportedInPart(t *testing.T) {
	for n, more := range map[int]string{maxReported: "", maxReported + 1: "; and 1 more", maxReported + 5: "; and 5 more"} {
		e := LoadError{Problems: slices.Repeat([]Problem{{File: "f", Message: "m"}}, n)}
		if got, want := e.Error(), "policy: "+strings.Repeat("f: m; ", maxReported-1)+"f: m"+more; got != want {
			t.Errorf("%d problems: %q, want %q", n, got, want)
		}
	}
}

func TestTTLsAreSecondsThatFit(t *testing.T) {
	const most = 1<<63 - 1
	for _, tt := range []struct {
		name, text string
		want       int64
	}{
		{"defaultTtlSeconds", "1", 1}, {"defaultTtlSeconds", "0.999", 0}, {"defaultTtlSeconds", "1.5", 2}, {"defaultTtlSeconds", "null", -1},
		{"defaultTtlMillis", "1000", 1}, {"defaultTtlMillis", "999", 0}, {"defaultTtlMillis", "1001", 2},
		{"defaultTtlSeconds", "9223372036854774784", 9223372036854774784}, {"defaultTtlSeconds", "9223372036854775807", most},
		{"defaultTtlSeconds", "9223372036854777856", most}, {"defaultTtlSeconds", "true", most},
	} {
		if got := secondsOf(tt.name, []byte(tt.text)); got != tt.want {
			t.Errorf("%s %s: %d, want %d", tt.name, tt.text, got, tt.want)
		}
	}
}

func TestAFileOfItsOwnIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.cedar")
	for size, ok := range map[int64]bool{maxBytes: true, maxBytes + 1: false} {
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, size)); err != nil {
			t.Fatal(err)
		}
		if files, err := readFiles(path); (err == nil) != ok || ok && len(files) != 1 {
			t.Errorf("%d bytes: %d files, %v; want it read: %t", size, len(files), err, ok)
		}
	}
}

// The link to the version of a ConfigMap leads to a file.
func TestAVersionThatIsNoFolderIsAnError(t *testing.T) {
	folder := t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(folder, "file"), nil, 0o600), os.Symlink("file", filepath.Join(folder, versionLink)),
		os.Symlink(versionLink+"/p.cedar", filepath.Join(folder, "p.cedar"))); err != nil {
		t.Fatal(err)
	}
	if files, err := readFiles(folder); err == nil || len(files) != 0 {
		t.Errorf("%d files, no error", len(files))
	}
}

func TestTextsOfErrorsHoldNoDetail(t *testing.T) {
	if got := safeMessage("app-one is odd"); got != "a value could not be converted" {
		t.Errorf("another error: %q", got)
	}
	want := Problem{File: "f.cedar", Message: "it is odd"}
	if got := syntaxProblem("f.cedar", errors.New("parser error: it is odd")); got != want {
		t.Errorf("an error without a place: %+v, want %+v", got, want)
	}
}
