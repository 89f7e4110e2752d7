package regionmap_test

import (
	"strings"
	"testing"

	"osgate/regionmap"
)

// TestTheRefusalOfAControlPlaneCallNamesTheUsableWays and none of the ways that name a
// region.
func TestTheRefusalOfAControlPlaneCallNamesTheUsableWays(t *testing.T) {
	m, err := regionmap.New(regionmap.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.Plane(regionmap.Place{})
	if err == nil {
		t.Fatal("a control plane was found")
	}
	for way, want := range map[string]bool{
		"anypoint.mulesoft.com": true, "/{plane},": true, "OSGATE_DEFAULT_REGION": true, regionmap.Header: true,
		"OSGATE_ROUTES": false, "{region}": false, "BASE_URL": false,
	} {
		if got := strings.Contains(err.Error(), way); got != want {
			t.Errorf("%q names %q: %t, want %t", err, way, got, want)
		}
	}
}
