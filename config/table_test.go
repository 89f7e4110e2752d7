package config_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"osgate/config"

	"github.com/google/go-cmp/cmp"
)

func rows() []config.Variable {
	return []config.Variable{
		{Name: "OSGATE_RATE", Default: "10", Value: "25", Source: config.FromEnvironment, Description: "quota"},
		{Name: "OSGATE_SECRET", Source: config.FromDefault, Description: "a|b", File: true},
		{Name: "OSGATE_ROUTES", Value: "a=us/x,\nb=eu/y", Source: config.FromFile, Description: "routes"},
	}
}

func TestTableIsAlignedText(t *testing.T) {
	var got strings.Builder
	if err := config.WriteTable(&got, rows()); err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		`VARIABLE       VALUE              SOURCE       DEFAULT  MEANING`,
		`OSGATE_RATE    25                 environment  10       quota`,
		`OSGATE_SECRET  -                  default      -        a|b; or OSGATE_SECRET_FILE`,
		`OSGATE_ROUTES  "a=us/x,\nb=eu/y"  file         -        routes`,
		``,
	}, "\n")
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

func TestMarkdownShowsNoValueInForce(t *testing.T) {
	var got strings.Builder
	if err := config.WriteMarkdown(&got, rows()); err != nil {
		t.Fatal(err)
	}
	want := "| variable | default | meaning |\n" +
		"| --- | --- | --- |\n" +
		"| `OSGATE_RATE` | `10` | quota |\n" +
		"| `OSGATE_SECRET` |  | a\\|b; or OSGATE_SECRET_FILE |\n" +
		"| `OSGATE_ROUTES` |  | routes |\n"
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("Markdown (-want +got):\n%s", diff)
	}
}

func TestTableHasALineForEachVariable(t *testing.T) {
	for name, write := range map[string]func(*bytes.Buffer) error{
		"text":     func(w *bytes.Buffer) error { return config.WriteTable(w, loaded(t).Table()) },
		"Markdown": func(w *bytes.Buffer) error { return config.WriteMarkdown(w, config.Variables()) },
	} {
		var got bytes.Buffer
		if err := write(&got); err != nil {
			t.Fatal(err)
		}
		for _, v := range config.Variables() {
			if n := strings.Count(strings.ReplaceAll(got.String(), "`", " ")+" ", "\n"+v.Name+" "); name == "text" && n != 1 {
				t.Errorf("%s: %d lines begin with %s, want 1", name, n, v.Name)
			}
			if !strings.Contains(got.String(), strings.ReplaceAll(v.Description, "|", `\|`)) {
				t.Errorf("%s does not describe %s", name, v.Name)
			}
		}
	}
}

// brokenWriter returns the error of a closed pipe from each write.
type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

var errBroken = errors.New("broken pipe")

func TestTableReportsThatItCouldNotBeWritten(t *testing.T) {
	for name, err := range map[string]error{
		"text":     config.WriteTable(brokenWriter{}, config.Variables()),
		"Markdown": config.WriteMarkdown(brokenWriter{}, config.Variables()),
	} {
		if !errors.Is(err, errBroken) {
			t.Errorf("%s to a broken pipe: error %v, want %v", name, err, errBroken)
		}
	}
}
