package emulator_test

import (
	"os"
	"strings"
	"testing"

	"osgate/emulator"
)

// The list of unknown properties in the package comment names every choice and every
// value except the default.
func TestTableOfUnknownsNamesEveryChoice(t *testing.T) {
	comment, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	words := strings.NewReplacer("//", " ", "\n", " ", "\t", " ", ",", " ").Replace(string(comment))
	for _, c := range emulator.Choices() {
		if !strings.Contains(words, " "+c.Name+"="+c.Values[1]) {
			t.Errorf("doc.go lacks %s=%s", c.Name, c.Values[1])
		}
		for _, value := range c.Values[2:] {
			if !strings.Contains(words, " "+value+" ") {
				t.Errorf("doc.go lacks value %s of %s", value, c.Name)
			}
		}
	}
}
