package regionmap_test

import (
	"errors"
	"strings"
	"testing"

	"osgate/objectstore"
	"osgate/regionmap"
)

// TestHostsOfTheVendorsRegionListAreAliases: it has a dot where BASE_URL has a dash.
func TestHostsOfTheVendorsRegionListAreAliases(t *testing.T) {
	m := newMap(t, regionmap.Options{Default: "us/us-east-1"})
	for _, e := range regionmap.Endpoints() {
		dotted := strings.Replace(e.Host, "object-store-", "object-store.", 1)
		for _, host := range []string{dotted, strings.ToUpper(dotted), dotted + ":80", dotted + "."} {
			got, _, err := locate(m, host, "/api/v1/organizations/o/regions", nil, objectstore.Ref{})
			if got != e.String() || err != nil {
				t.Errorf("%s: %q, error %v; want %s", host, got, err, e.Location)
			}
		}
	}
}

// TestOtherHostsOfTheVendorAreRefused although there is a default region; the error
// names the host that was probably meant.
func TestOtherHostsOfTheVendorAreRefused(t *testing.T) {
	m := newMap(t, regionmap.Options{Default: "us/us-east-1"})
	for host, nearest := range map[string]string{
		"object-store-eu-central-2.anypoint.mulesoft.com":      "object-store-eu-central-1.anypoint.mulesoft.com",
		"object-store-eu-central1.anypoint.mulesoft.com":       "object-store-eu-central-1.anypoint.mulesoft.com",
		"objectstore-us-west-2.anypoint.mulesoft.com":          "object-store-us-west-2.anypoint.mulesoft.com",
		"object-store-eu-west-1.eu.anypoint.mulesoft.com":      "object-store-eu-west-1.eu1.anypoint.mulesoft.com",
		"object-store.ca-central-1.ca2.platform.mulesoft.com":  "object-store-ca-central-1.ca1.platform.mulesoft.com",
		"OBJECT-STORE-us-gov-west-2.gov.anypoint.mulesoft.com": "object-store-us-gov-west-1.gov.anypoint.mulesoft.com",
		"eu2.anypoint.mulesoft.com":                            "eu1.anypoint.mulesoft.com",
		"object-store-stat.anypoint.mulesoft.com:443":          "object-store-stats.anypoint.mulesoft.com",
		"mulesoft.com": "anypoint.mulesoft.com",
	} {
		_, _, err := m.Read(host, "/us/us-east-1/api/v1/organizations/o/regions", []string{"us/us-east-1"})
		unknown, ok := errors.AsType[*regionmap.UnknownError](err)
		if !ok || !strings.HasSuffix(unknown.Reason, "the most similar one is "+nearest) {
			t.Errorf("%s: error %v, want %s to be named", host, err, nearest)
		}
	}
	long := strings.Repeat("a", 10_000) + ".mulesoft.com"
	if _, _, err := m.Read(long, "/api/v1/o", nil); err == nil || len(err.Error()) > 600 {
		t.Errorf("a host of 10,000 bytes: error %.200v", err)
	}
	for _, host := range []string{"", "gateway", "localhost:8080", "object-store-eu-central-2.anypoint.mulesoft.com.example", "notmulesoft.com", "mulesoft.example"} {
		if place, _, err := m.Read(host, "/api/v1/o", nil); err != nil || place != (regionmap.Place{}) {
			t.Errorf("%q: place %v, error %v; want none", host, place, err)
		}
	}
}
