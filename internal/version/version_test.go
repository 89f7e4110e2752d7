package version_test

import (
	"testing"

	"osgate/internal/version"
)

func TestVersionIsTheOneTheLinkerSet(t *testing.T) {
	if got := version.Of("v1.2.3"); got != "v1.2.3" {
		t.Errorf("the version is %q, want v1.2.3", got)
	}
	if version.Of("") == "" {
		t.Error("a plain build has no version")
	}
}
