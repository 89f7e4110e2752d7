package objectstore_test

import (
	"net/http"
	"testing"

	"osgate/objectstore"
)

// TestACommonRequestIsParsedWithoutGarbage: Parse runs for every request.
func TestACommonRequestIsParsedWithoutGarbage(t *testing.T) {
	for _, path := range []string{keys + "/a-key", "/api/v1/" + keys + "/a-key"} {
		if n := testing.AllocsPerRun(100, func() {
			if _, err := objectstore.Parse(http.MethodGet, path, ""); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations, want none", path, n)
		}
	}
}
