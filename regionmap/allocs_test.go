package regionmap_test

import (
	"testing"

	"osgate/regionmap"
)

// TestAPlaceIsReadWithoutGarbage: Read runs for every request.
func TestAPlaceIsReadWithoutGarbage(t *testing.T) {
	m, err := regionmap.New(regionmap.Options{Default: "us/us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ host, path string }{
		{"gateway", "/api/v1/organizations/o"},
		{"object-store-us-east-1.anypoint.mulesoft.com", "//api/v1/organizations/o"},
		{"127.0.0.1:8080", "/us/api/v1/organizations/o"},
		{"127.0.0.1:8080", "/us/us-east-1/api/v1/organizations/o"},
	} {
		if n := testing.AllocsPerRun(100, func() {
			if _, _, err := m.Read(tt.host, tt.path, nil); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s%s: %v allocations, want none", tt.host, tt.path, n)
		}
	}
}
