package regionmap_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"osgate/objectstore"
	"osgate/regionmap"
)

// vendorTable is the BASE_URL table of the vendor's page "Object Store v2 REST APIs",
// in its order.
const vendorTable = `
us  object-store-us-east-1.anypoint.mulesoft.com           US East (N. Virginia)
us  object-store-us-east-2.anypoint.mulesoft.com           US East (Ohio)
us  object-store-us-west-1.anypoint.mulesoft.com           US West (N. California)
us  object-store-us-west-2.anypoint.mulesoft.com           US West (Oregon)
us  object-store-ap-southeast-1.anypoint.mulesoft.com      Asia Pacific (Singapore)
us  object-store-ap-southeast-2.anypoint.mulesoft.com      Asia Pacific (Sydney)
us  object-store-ap-northeast-1.anypoint.mulesoft.com      Asia Pacific (Tokyo)
us  object-store-ca-central-1.anypoint.mulesoft.com        Canada (Central)
us  object-store-eu-central-1.anypoint.mulesoft.com        Europe (Frankfurt)
us  object-store-eu-west-1.anypoint.mulesoft.com           Europe (Ireland)
us  object-store-eu-west-2.anypoint.mulesoft.com           Europe (London)
us  object-store-sa-east-1.anypoint.mulesoft.com           South America (São Paulo)
gov object-store-us-gov-west-1.gov.anypoint.mulesoft.com   US Gov West
eu  object-store-eu-central-1.eu1.anypoint.mulesoft.com    Europe (Frankfurt)
eu  object-store-eu-west-1.eu1.anypoint.mulesoft.com       Europe (Ireland)
ca  object-store-ca-central-1.ca1.platform.mulesoft.com    Canada (Central)
jp  object-store-ap-northeast-1.jp1.platform.mulesoft.com  Asia Pacific (Tokyo)`

func TestTableIsTheVendors(t *testing.T) {
	var want []string
	for line := range strings.SplitSeq(strings.TrimSpace(vendorTable), "\n") {
		want = append(want, strings.Join(strings.Fields(line), " "))
	}
	var got []string
	for _, e := range regionmap.Endpoints() {
		got = append(got, e.Plane+" "+e.Host+" "+e.Name)
		if !strings.HasPrefix(e.Host, "object-store-"+e.Region+".") {
			t.Errorf("host of %s is %s, of another region", e.Location, e.Host)
		}
		if h := regionmap.Host(e.Location); h != e.Host {
			t.Errorf("Host(%s) = %q, want %q", e.Location, h, e.Host)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("endpoints differ from the vendor's table (-want +got):\n%s", diff)
	}
}

func newMap(t *testing.T, o regionmap.Options) *regionmap.Map {
	t.Helper()
	m, err := regionmap.New(o)
	if err != nil {
		t.Fatalf("New(%+v): %v", o, err)
	}
	return m
}

// locate runs both halves as a request does.
func locate(m *regionmap.Map, host, path string, header []string, ref objectstore.Ref) (string, string, error) {
	place, rest, err := m.Read(host, path, header)
	if err != nil {
		return "", "", err
	}
	l, err := m.Locate(place, ref)
	return l.String(), rest, err
}

func TestEveryLocationIsReachedByHostPrefixAndHeader(t *testing.T) {
	m := newMap(t, regionmap.Options{})
	const path = "/api/v1/organizations/o/regions"
	for _, e := range regionmap.Endpoints() {
		for name, try := range map[string]struct {
			host, path string
			header     []string
		}{
			"host":               {host: e.Host, path: path},
			"host with port":     {host: strings.ToUpper(e.Host) + ":443", path: path},
			"host with root dot": {host: e.Host + ".", path: path},
			"prefix":             {host: "gateway:8080", path: "/" + e.String() + path},
			"header":             {host: "gateway:8080", path: path, header: []string{" " + strings.ToUpper(e.String())}},
			"all three":          {host: e.Host, path: "/" + e.String() + path, header: []string{e.String(), e.Plane}},
		} {
			got, rest, err := locate(m, try.host, try.path, try.header, objectstore.Ref{})
			if err != nil || got != e.String() || rest != path {
				t.Errorf("%s by %s: got %q, path %q, error %v", e.Location, name, got, rest, err)
			}
		}
	}
}

func TestFirstWayThatAppliesWins(t *testing.T) {
	m := newMap(t, regionmap.Options{
		Default: "us-east-2",
		Routes: []regionmap.Route{
			{Organization: "o", To: "us/us-west-1"},
			{Organization: "o", Environment: "e", To: "eu/eu-west-1"},
			{Organization: "o", Environment: "e", Store: "s", To: "jp/ap-northeast-1"},
		},
	})
	for _, tt := range []struct {
		name, host, path, header string
		ref                      objectstore.Ref
		want                     string
	}{
		{name: "default", want: "us/us-east-2"},
		{name: "organization", ref: objectstore.Ref{Organization: "o"}, want: "us/us-west-1"},
		{name: "other environment", ref: objectstore.Ref{Organization: "o", Environment: "x", Store: "s"}, want: "us/us-west-1"},
		{name: "environment", ref: objectstore.Ref{Organization: "o", Environment: "e", Store: "t"}, want: "eu/eu-west-1"},
		{name: "store", ref: objectstore.Ref{Organization: "o", Environment: "e", Store: "s"}, want: "jp/ap-northeast-1"},
		{name: "header before route", header: "gov/us-gov-west-1", ref: objectstore.Ref{Organization: "o"}, want: "gov/us-gov-west-1"},
		{name: "region id of one plane", header: "us-west-2", want: "us/us-west-2"},
		{name: "route within the plane named", header: "us", ref: objectstore.Ref{Organization: "o", Environment: "e"}, want: "us/us-west-1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var header []string
			if tt.header != "" {
				header = []string{tt.header}
			}
			got, _, err := locate(m, "gateway", "/api/v1/organizations/o", header, tt.ref)
			if err != nil || got != tt.want {
				t.Errorf("got %q, error %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestUnplacedAndContradictoryRequestsAreRefused(t *testing.T) {
	m := newMap(t, regionmap.Options{})
	const eu = "object-store-eu-west-1.eu1.anypoint.mulesoft.com"
	for _, tt := range []struct {
		name, host, path string
		header           []string
		says             string
	}{
		{name: "nothing", says: "the request names no region"},
		{name: "host against header", host: eu, header: []string{"us/eu-west-1"}, says: "the host names eu/eu-west-1 but the header names us/eu-west-1"},
		{name: "host against prefix", host: eu, path: "/eu/eu-central-1", says: "the host names eu/eu-west-1 but the prefix names eu/eu-central-1"},
		{name: "prefix against header's plane", path: "/us/us-east-1", header: []string{"jp"}, says: "the prefix names us/us-east-1 but the header names jp"},
		{name: "two headers", header: []string{"us/us-east-1", "us/us-east-2"}, says: "the header names us/us-east-1 but the header names us/us-east-2"},
		{name: "accounts host against header", host: "anypoint.mulesoft.com", header: []string{"eu"}, says: "the host names us but the header names eu"},
		{name: "region id of two planes", header: []string{"eu-west-1"}, says: "us/eu-west-1, eu/eu-west-1"},
		{name: "no such region", header: []string{"us-east-9"}, says: `"us-east-9" is not a region`},
		{name: "no such pair", header: []string{"eu/us-east-1"}, says: "does not name one of the 17 locations"},
		{name: "empty header", header: []string{""}, says: "is not a region"},
		{name: "longest header", header: []string{strings.Repeat("x", 64)}, says: "is not a region"},
		{name: "header too long", header: []string{strings.Repeat("x", 65)}, says: "too long"},
		{name: "endless header", header: []string{strings.Repeat("x", 5000)}, says: "too long"},
		{name: "longest host", host: strings.Repeat("x", 64-len(".mulesoft.com")) + ".mulesoft.com", says: "is not one of the vendor's hosts"},
		{name: "host too long", host: strings.Repeat("x", 65-len(".mulesoft.com")) + ".mulesoft.com", says: "too long"},
		{name: "no such pair in the prefix", path: "/eu/us-east-1", says: "control plane eu does not have"},
		{name: "plane alone", header: []string{"us"}, says: "the header names control plane us but no region"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := locate(m, tt.host, tt.path+"/api/v1/organizations/o/regions", tt.header, objectstore.Ref{})
			unknown, ok := errors.AsType[*regionmap.UnknownError](err)
			if !ok {
				t.Fatalf("error %v, want an UnknownError", err)
			}
			if text := unknown.Error(); !strings.Contains(text, tt.says) || !strings.Contains(text, regionmap.Ways) || len(text) > 600 {
				t.Errorf("error %q does not contain %q and the ways", text, tt.says)
			}
		})
	}
}

func TestOnlyAllowedLocationsAreReached(t *testing.T) {
	m := newMap(t, regionmap.Options{Planes: []string{"us", "eu"}, Regions: []string{"eu/*", "us/us-east-1", "jp/*"}})
	allowed := map[string]bool{}
	for _, e := range m.Allowed() {
		allowed[e.String()] = true
	}
	if diff := cmp.Diff(map[string]bool{"us/us-east-1": true, "eu/eu-central-1": true, "eu/eu-west-1": true}, allowed); diff != "" {
		t.Errorf("allowed (-want +got):\n%s", diff)
	}
	for _, e := range regionmap.Endpoints() {
		_, _, err := locate(m, e.Host, "/api/v1/organizations/o/regions", nil, objectstore.Ref{})
		if _, refused := errors.AsType[*regionmap.NotAllowedError](err); refused == allowed[e.String()] {
			t.Errorf("%s: error %v, allowed %v", e.Location, err, allowed[e.String()])
		}
	}
	if got, _, err := locate(m, "", "/api/v1", []string{"eu-west-1"}, objectstore.Ref{}); got != "eu/eu-west-1" {
		t.Errorf("a region id that one enabled plane has: got %q, error %v", got, err)
	}
	_, err := m.Plane(regionmap.Place{Plane: "jp"})
	if _, refused := errors.AsType[*regionmap.NotAllowedError](err); !refused {
		t.Errorf("a plane without an allowed location: error %v", err)
	}
}

func TestPlaneOfAccountsCalls(t *testing.T) {
	for _, tt := range []struct {
		name, host, path, header string
		options                  regionmap.Options
		want, rest               string
	}{
		{name: "us host", host: "anypoint.mulesoft.com", path: "/accounts/api/me", want: "us"},
		{name: "gov host", host: "gov.anypoint.mulesoft.com", path: "/accounts/api/me", want: "gov"},
		{name: "eu host", host: "eu1.anypoint.mulesoft.com", path: "/accounts/api/me", want: "eu"},
		{name: "ca host", host: "ca1.platform.mulesoft.com", path: "/accounts/api/me", want: "ca"},
		{name: "jp host", host: "jp1.platform.mulesoft.com:443", path: "/accounts/api/me", want: "jp"},
		{name: "stats host", host: "object-store-stats.eu1.anypoint.mulesoft.com", path: "/accounts/api/me", want: "eu"},
		{name: "prefix", path: "/jp/accounts/api/me", want: "jp"},
		{name: "header", path: "/accounts/api/me", header: "eu/eu-west-1", want: "eu"},
		{name: "default", path: "/accounts/api/me", options: regionmap.Options{Default: "ca/ca-central-1"}, want: "ca"},
		{name: "only one", path: "/accounts/api/me", options: regionmap.Options{Planes: []string{"gov"}}, want: "gov"},
		{name: "none", path: "/accounts/api/me"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMap(t, tt.options)
			var header []string
			if tt.header != "" {
				header = []string{tt.header}
			}
			place, rest, err := m.Read(tt.host, tt.path, header)
			if err != nil || rest != "/accounts/api/me" {
				t.Fatalf("Read: %q, error %v", rest, err)
			}
			got, err := m.Plane(place)
			if got != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("got %q, error %v; want %q", got, err, tt.want)
			}
			if tt.want != "" && regionmap.AccountsHost(got) == "" {
				t.Errorf("plane %s has no accounts host", got)
			}
		})
	}
}

func TestPathsWithoutAPrefixStayAsTheyAre(t *testing.T) {
	m := newMap(t, regionmap.Options{})
	for _, path := range []string{
		"", "/", "/api/v1/organizations/us/regions", "/us", "/us/", "/us/us-east-1", "/us/us-east-1/", "/us/us-east-1/x/y", "/xx/us-east-1/api/v1/o",
		"us/us-east-1/api/v1/o", "accounts/api/me", "/US/us-east-1/api/v1/o", "/us%2Fus-east-1/api/v1",
		"//", "//nowhere/x", "//us", "/us//us-east-1/api/v1/o", "//us//us-east-1/api/v1/o", "/us/us-east-1//x", "/xx//api/v1/o", "/us/us-east-1//accounts/api/me",
	} {
		place, rest, err := m.Read("gateway", path, nil)
		if err != nil || rest != path || place != (regionmap.Place{}) {
			t.Errorf("%q: place %v, rest %q, error %v", path, place, rest, err)
		}
	}
}

// TestEmptySegmentsInFrontAreLeftOut: a base URL that ends in "/" causes them.
func TestEmptySegmentsInFrontAreLeftOut(t *testing.T) {
	m := newMap(t, regionmap.Options{})
	for path, want := range map[string]struct{ place, rest string }{
		"//accounts/api/me":           {"", "/accounts/api/me"},
		"///api/v1/o":                 {"", "/api/v1/o"},
		"//us/accounts/api/me":        {"us", "/accounts/api/me"},
		"/us//accounts/api/me":        {"us", "/accounts/api/me"},
		"/us//api/v1/o":               {"us", "/api/v1/o"},
		"//us/us-east-1/api/v1/o":     {"us/us-east-1", "/api/v1/o"},
		"/us/us-east-1//api/v1/o":     {"us/us-east-1", "/api/v1/o"},
		"//eu/eu-west-1///api/v1//o/": {"eu/eu-west-1", "/api/v1//o/"},
	} {
		place, rest, err := m.Read("gateway", path, nil)
		if err != nil || rest != want.rest || place.String() != want.place {
			t.Errorf("%q: place %v, rest %q, error %v; want %v", path, place, rest, err, want)
		}
	}
}

func TestConfigurationErrorsNameWhatIsWrong(t *testing.T) {
	_, err := regionmap.New(regionmap.Options{
		Planes: []string{"us", "mars"}, Regions: []string{"us/*", "eu/us-east-1"}, Default: "eu/eu-west-1",
		Routes: []regionmap.Route{{Organization: "o", Environment: "e", To: "us/nowhere"}, {Organization: "o", Store: "", To: "us/us-east-1"}},
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, says := range []string{`plane "mars"`, `region "eu/us-east-1"`, "default region: eu/eu-west-1", "route of o/e:"} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("error does not contain %q:\n%v", says, err)
		}
	}
	if _, err := regionmap.New(regionmap.Options{Regions: []string{"eu-west-1"}}); err == nil || !strings.Contains(err.Error(), "us/eu-west-1, eu/eu-west-1") {
		t.Errorf("a region id of two planes: error %v", err)
	}
	if m := newMap(t, regionmap.Options{Planes: []string{"eu"}, Regions: []string{"eu-west-1"}}); len(m.Allowed()) != 1 {
		t.Errorf("a region id of one enabled plane allows %v", m.Allowed())
	}
	if _, err := regionmap.New(regionmap.Options{Planes: []string{"us"}, Regions: []string{"eu/*"}}); err == nil {
		t.Error("an allow-list that allows nothing was accepted")
	}
}
