package nginx

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// A name without a value would be an error of nginx only, and nginx is not on every
// machine that runs the tests.
func TestWriteFillsInEveryName(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "nginx")
	values := map[string]string{}
	for _, name := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(read("nginx.conf"), -1) {
		values[name[1]] = "value-of-" + name[1]
	}
	if err := Write(dir, values); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "nginx.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if left := regexp.MustCompile(`\{\{[^}]*\}\}`).Find(text); left != nil {
		t.Errorf("%s is left in:\n%s", left, text)
	}
	if !bytes.Contains(text, []byte("proxy_pass value-of-scheme;")) {
		t.Errorf("a value is not in:\n%s", text)
	}
}
