package emulator_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"osgate/emulator"
)

// The user's guide has the table of unknowns of the package comment, row by row.
func TestGuideHasTheTableOfUnknowns(t *testing.T) {
	guide := read(t, "../docs/emulator.md")
	rows := unknowns(t)
	if len(rows) < 20 {
		t.Fatalf("%d rows in doc.go", len(rows))
	}
	for _, row := range rows {
		if !strings.Contains(guide, row+"\n") {
			t.Errorf("docs/emulator.md lacks\n%s", row)
		}
	}
}

// It has every flag with its default, and all of the back door.
func TestGuideHasEveryFlagAndTheBackDoor(t *testing.T) {
	guide := read(t, "../docs/emulator.md")
	flags := regexp.MustCompile(`f\.\w+Var\(&s\.\w+, "([a-z-]+)", ([^,]+),`).FindAllStringSubmatch(read(t, "../cmd/osemu/settings.go"), -1)
	if len(flags) == 0 {
		t.Fatal("no flags found in settings.go")
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

// Its example of a world can be used as it stands.
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

// unknowns returns the rows of the table in doc.go as Markdown. A row that goes on in the
// next line leaves its first column empty there.
func unknowns(t *testing.T) []string {
	t.Helper()
	_, table, _ := strings.Cut(read(t, "doc.go"), "//\t----")
	var rows [][3]string
	for line := range strings.Lines(table) {
		cells, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "//\t")
		if !ok {
			continue
		}
		columns := []rune(cells + strings.Repeat(" ", 80))
		row := [3]string{}
		for i, column := range []string{string(columns[:39]), string(columns[39:72]), string(columns[72:])} {
			row[i] = strings.TrimSpace(column)
		}
		if row[0] == "" {
			last := &rows[len(rows)-1]
			for i := range row {
				last[i] = strings.TrimSpace(last[i] + " " + row[i])
			}
			continue
		}
		rows = append(rows, row)
	}
	var list []string
	for _, row := range rows {
		list = append(list, "| "+word.ReplaceAllString(strings.Join(row[:], " | "), "`$0`")+" |")
	}
	return list
}
