package archtest

import (
	"os"
	"path"
	"regexp"
	"testing"
)

// Go 1.26.10 fixes CVE-2026-97032: with an older standard library, an HTTPS client
// without a token can crash the process. Every module and image requires the same
// version, so that the tested version is the shipped one.
func TestEveryModuleAndImageRequiresOneGoVersionWithoutKnownHoles(t *testing.T) {
	required := regexp.MustCompile(`(?m)^(?:go |FROM (?:--platform=\S+ )?golang:)(\S+)`)
	for _, file := range []string{
		"go.mod", "e2e/go.mod", "tools/go.mod", "tools/vuln/go.mod", "deploy/observe/go.mod", "deploy/charttest/go.mod", "bench/go.mod",
		"deploy/Dockerfile",
	} {
		text, err := os.ReadFile(path.Join(moduleRoot, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range required.FindAllSubmatch(text, -1) {
			if string(found[1]) != "1.26.10" {
				t.Errorf("%s requires Go %s, want 1.26.10", file, found[1])
			}
		}
		if !required.Match(text) {
			t.Errorf("%s requires no Go version", file)
		}
	}
}
