package emulator_test

import (
	"os"
	"strings"
	"testing"

	"osgate/emulator"
)

// The table of unknown properties in the package comment names every choice and every
// value but the default.
func TestTableOfUnknownsNamesEveryChoice(t *testing.T) {
	comment, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	words := strings.NewReplacer("//", " ", "\n", " ", "\t", " ", ",", " ").Replace(string(comment))
	for _, c := range emulator.Choices() {
		if !strings.Contains(words, " "+c.Name+"="+c.Values[1]) {
			t.Errorf("%s=%s is not in it", c.Name, c.Values[1])
		}
		for _, value := range c.Values[2:] {
			if !strings.Contains(words, " "+value+" ") {
				t.Errorf("value %s of %s is not in it", value, c.Name)
			}
		}
	}
}
