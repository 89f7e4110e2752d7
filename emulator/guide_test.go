package emulator_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"osgate/emulator"
)

// The guide's page of unknowns has the list of the package comment as a table, row by
// row.
func TestGuideHasTheTableOfUnknowns(t *testing.T) {
	guide := read(t, "../docs/emulator-unknowns.md")
	rows := unknowns(t)
	if len(rows) < 20 {
		t.Fatalf("doc.go has %d rows", len(rows))
	}
	for _, row := range rows {
		if !strings.Contains(guide, row+"\n") {
			t.Errorf("docs/emulator-unknowns.md lacks\n%s", row)
		}
	}
}

// It has every flag with its default, and all routes of the back door.
func TestGuideHasEveryFlagAndTheBackDoor(t *testing.T) {
	guide := read(t, "../docs/emulator.md")
	flags := regexp.MustCompile(`f\.\w+Var\(&s\.\w+, "([a-z-]+)", ([^,]+),`).FindAllStringSubmatch(read(t, "../cmd/osemu/settings.go"), -1)
	if len(flags) == 0 {
		t.Fatal("settings.go has no flags")
	}
	for _, flag := range flags {
		if !strings.Contains(guide, "`-"+flag[1]+"`") {
			t.Errorf("docs/emulator.md lacks -%s", flag[1])
		}
		if value := strings.Trim(flag[2], `"`); len(value) > 1 && !strings.Contains(guide, "`-"+flag[1]+"` | `"+value+"`") {
			t.Errorf("docs/emulator.md lacks the default %s of -%s", value, flag[1])
		}
	}
	for path := range routesIn(t, "backdoor.go", `case "[A-Z]+ ([^"]+)":`) {
		if !strings.Contains(guide, "/_osemu/"+path+"`") {
			t.Errorf("docs/emulator.md lacks %s", path)
		}
	}
}

// Its example of a world is valid.
func TestGuideShowsAWorldThatWorks(t *testing.T) {
	_, example, _ := strings.Cut(read(t, "../docs/emulator.md"), "```json\n")
	example, _, _ = strings.Cut(example, "```")
	if _, err := emulator.ParseWorld("world.json", []byte(example)); err != nil {
		t.Error(err)
	}
	if err := validate(t, worldSchema(t), example); err != nil {
		t.Error(err)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var word = regexp.MustCompile(`[a-z]+(-[a-z]+)*=[a-z0-9]+|Options\.\w+|X-Confirmation-Id|\{.*\}`)

// unknowns returns the list of unknowns in doc.go as rows of a Markdown table.
func unknowns(t *testing.T) []string {
	t.Helper()
	var items []string
	for line := range strings.Lines(read(t, "doc.go")) {
		text := strings.TrimSpace(strings.TrimPrefix(line, "//"))
		if item, ok := strings.CutPrefix(text, "- "); ok {
			items = append(items, item)
		} else if len(items) > 0 {
			items[len(items)-1] += " " + text
		}
	}
	var rows []string
	for _, item := range items {
		what, rest, found := strings.Cut(item, ". Known: ")
		known, chosen, _ := strings.Cut(rest, ". Default: ")
		if found {
			chosen = strings.TrimSuffix(chosen, " package emulator")
			row := strings.Join([]string{what, known, chosen}, " | ")
			rows = append(rows, "| "+word.ReplaceAllString(row, "`$0`")+" |")
		}
	}
	return rows
}
