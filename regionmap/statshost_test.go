package regionmap_test

import (
	"testing"

	"osgate/regionmap"
)

func TestTwoPlanesHaveAStatsAPIOfTheVendor(t *testing.T) {
	want := map[string]string{"us": "object-store-stats.anypoint.mulesoft.com", "eu": "object-store-stats.eu1.anypoint.mulesoft.com"}
	for _, plane := range []string{"us", "gov", "eu", "ca", "jp", "mars", ""} {
		if got := regionmap.StatsHost(plane); got != want[plane] {
			t.Errorf("the Stats API of plane %q is at %q, want %q", plane, got, want[plane])
		}
	}
}
