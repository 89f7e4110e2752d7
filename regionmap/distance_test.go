package regionmap

import "testing"

func TestNamesAreAsFarApartAsTheBytesThatDiffer(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "a", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abd", 1}, {"abc", "xabc", 1}, {"xabc", "abc", 1},
		{"abc", "ac", 1}, {"abcdef", "azced", 3}, {"kitten", "sitting", 3}, {"ab", "ba", 2}, {"us-east-1", "us-west-2", 3},
	} {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("%q and %q are %d apart, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestTwoPlanesHaveAStatsAPIOfTheVendor(t *testing.T) {
	want := map[string]string{"us": "object-store-stats.anypoint.mulesoft.com", "eu": "object-store-stats.eu1.anypoint.mulesoft.com"}
	for _, plane := range []string{"us", "gov", "eu", "ca", "jp", "mars", ""} {
		if got := StatsHost(plane); got != want[plane] {
			t.Errorf("the Stats API of plane %q is at %q, want %q", plane, got, want[plane])
		}
	}
}
