package config_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"osgate/config"
)

func TestAnEntriesFileHasOneEntryPerLine(t *testing.T) {
	routes := secretFile(t, "# where our stores are\n\norg=us/us-east-1  # all of it\norg/env=eu/eu-west-1,org/env/a#b=jp/ap-northeast-1\r\n")
	c := loaded(t, "OSGATE_ROUTES_FILE="+routes, "OSGATE_RATE_OVERRIDES_FILE="+secretFile(t, "one=100\ntwo=0\n"))
	want := config.Routes{
		{Organization: "org", Location: "us/us-east-1"}, {Organization: "org", Environment: "env", Location: "eu/eu-west-1"},
		{Organization: "org", Environment: "env", Store: "a#b", Location: "jp/ap-northeast-1"},
	}
	if diff := cmp.Diff(want, c.Regions.Routes); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
	if !maps.Equal(c.Rate.Overrides, map[string]int{"one": 100, "two": 0}) {
		t.Errorf("overrides are %v", c.Rate.Overrides)
	}
	if got := row(t, c, "OSGATE_RATE_OVERRIDES"); got.Source != config.FromFile || got.Value != "one=100,two=0" || !got.File {
		t.Errorf("the row is %+v, want the entries, from the file", got)
	}
	if got := c.LinesFiles(); len(got) != 2 || got["OSGATE_ROUTES"] != routes {
		t.Errorf("the files are %v", got)
	}
	if none := loaded(t, "OSGATE_ROUTES_FILE="+secretFile(t, "# none yet\n")); none.Regions.Routes != nil || row(t, none, "OSGATE_ROUTES").Source != config.FromFile {
		t.Errorf("a file of comments has the routes %v", none.Regions.Routes)
	}
}

func TestABadFileOfEntriesIsNamed(t *testing.T) {
	for content, want := range map[string]string{
		" \n":                 "the file is empty; want one entry per line",
		"org=us/us-east-1\nb": `"b" has no =`,
		"org=eu/us-east-1\n":  "is not in a plane of OSGATE_PLANES",
		"a=us/x\na=us/y\n":    `"a=us/y" repeats a place`,
		"a=us/x\n#\na=us/x\n": `"a=us/x" is given twice`,
		strings.Repeat("#", config.MaxLinesBytes+1): "the file is larger than",
	} {
		got := problemsOf(t, "OSGATE_PLANES=us", "OSGATE_ROUTES_FILE="+secretFile(t, content))
		if len(got) != 1 || got[0].Variable != "OSGATE_ROUTES_FILE" || !strings.Contains(got[0].Detail, want) {
			t.Errorf("%.30q: %v, want %q", content, got, want)
		}
	}
	if got := problemsOf(t, "OSGATE_ROUTES=a=us/x", "OSGATE_ROUTES_FILE="+secretFile(t, "a=us/x\n")); len(got) != 1 {
		t.Errorf("both forms: %v, want one problem", got)
	}
}

// TestNewEntriesAreCheckedWithTheOtherSettings checks that new entries are checked together with
// the rest of the configuration, and that they change no other setting.
func TestNewEntriesAreCheckedWithTheOtherSettings(t *testing.T) {
	c := loaded(t, "OSGATE_RATE_ALGORITHM=window", "OSGATE_SECRET="+goodKey(), "OSGATE_RATE_OVERRIDES_FILE="+secretFile(t, "one=100\n"))
	next, err := c.WithLines("OSGATE_RATE_OVERRIDES", []byte("two=200\n"))
	if err != nil || !maps.Equal(next.Rate.Overrides, map[string]int{"two": 200}) || next.Rate.Algorithm != "window" || string(next.Key()) != string(c.Key()) {
		t.Errorf("%v, overrides %v; want the new ones and the rest unchanged", err, next.Rate.Overrides)
	}
	if c.Rate.Overrides["one"] != 100 {
		t.Errorf("the configuration itself changed: %v", c.Rate.Overrides)
	}
	if none, err := next.WithLines("OSGATE_RATE_OVERRIDES", []byte("#\n")); err != nil || none.Rate.Overrides != nil {
		t.Errorf("a comment alone: %v, %v; want no overrides", none.Rate.Overrides, err)
	}
	for _, content := range []string{"two=5000\n", "", "two\n"} { // a window allows at most 1000
		_, err := c.WithLines("OSGATE_RATE_OVERRIDES", []byte(content))
		if wrong, ok := errors.AsType[*config.InvalidError](err); !ok || wrong.Problems[0].Variable != "OSGATE_RATE_OVERRIDES_FILE" {
			t.Errorf("%q: %v, want a problem of OSGATE_RATE_OVERRIDES_FILE", content, err)
		}
	}
	refuse := func(config.Config) []config.Problem {
		return []config.Problem{{Variable: "OSGATE_ROUTES", Detail: "no"}}
	}
	if _, err := c.WithLines("OSGATE_RATE_OVERRIDES", []byte("two=2\n"), refuse); err == nil {
		t.Error("a check was not called")
	}
}

func TestCommandsThatLookAtAGatewayDoNotNeedItsFiles(t *testing.T) {
	environ := config.WithoutLinesFiles([]string{"OSGATE_ROUTES_FILE=/absent", "OSGATE_RATE_OVERRIDES_FILE=/absent", "OSGATE_RATE=7", "HOME=/"})
	if diff := cmp.Diff([]string{"OSGATE_RATE=7", "HOME=/"}, environ); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
