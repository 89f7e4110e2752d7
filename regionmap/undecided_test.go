package regionmap_test

import (
	"errors"
	"strings"
	"testing"

	"osgate/objectstore"
	"osgate/regionmap"
)

func TestDiscoveryIsForStoresThatNothingPlacesInOnePlane(t *testing.T) {
	key := objectstore.Ref{Organization: "org", Environment: "env", Store: "s", Partition: "p", Key: "k"}
	one, two := []string{"us"}, []string{"us", "eu"}
	routes := []regionmap.Route{{Organization: "routed", To: "us/us-east-2"}, {Organization: "org", Environment: "env", Store: "routed", To: "us/us-east-2"}}
	for _, tt := range []struct {
		name         string
		planes       []string
		host, prefix string
		header       string
		ref          objectstore.Ref
		off          bool
		want         string // the plane; empty: no discovery
	}{
		{name: "the only plane enabled", planes: one, ref: key, want: "us"},
		{name: "a store itself", planes: one, ref: store, want: "us"},
		{name: "switched off", planes: one, ref: key, off: true},
		{name: "two planes, none named", planes: two, ref: key},
		{name: "plane by header", planes: two, header: "eu", ref: key, want: "eu"},
		{name: "plane by prefix", planes: two, prefix: "/eu", ref: key, want: "eu"},
		{name: "plane by host", planes: two, host: "eu1.anypoint.mulesoft.com", ref: key, want: "eu"},
		{name: "a plane that may not be reached", planes: two, header: "jp", ref: key},
		{name: "region by header", planes: one, header: "us/us-east-1", ref: key},
		{name: "region by prefix", planes: one, prefix: "/us/us-east-1", ref: key},
		{name: "region by host", planes: one, host: "object-store-us-east-1.anypoint.mulesoft.com", ref: key},
		{name: "route of the organization", planes: one, ref: objectstore.Ref{Organization: "routed", Environment: "e", Store: "s"}},
		{name: "route of the store", planes: one, ref: objectstore.Ref{Organization: "org", Environment: "env", Store: "routed"}},
		{name: "route to another plane than named", planes: two, header: "eu", ref: objectstore.Ref{Organization: "routed", Store: "s"}, want: "eu"},
		{name: "list of regions", planes: one, ref: objectstore.Ref{Organization: "org"}},
		{name: "list of stores", planes: one, ref: objectstore.Ref{Organization: "org", Environment: "env"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMap(t, regionmap.Options{Planes: tt.planes, Routes: routes, Default: "us/us-west-1", Discover: !tt.off})
			var header []string
			if tt.header != "" {
				header = []string{tt.header}
			}
			place, _, err := m.Read(tt.host, tt.prefix+"/api/v1/organizations/org", header)
			if err != nil {
				t.Fatal(err)
			}
			if plane, ok := m.Undecided(place, tt.ref); ok != (tt.want != "") || ok && plane != tt.want {
				t.Errorf("got %q, %v; want %q", plane, ok, tt.want)
			}
		})
	}
}

func TestUnnamedPlaneIsReportedForStoresWithoutASearch(t *testing.T) {
	m := newMap(t, regionmap.Options{Planes: []string{"us", "eu"}, Discover: true})
	_, err := m.Locate(regionmap.Place{}, store)
	unknown, ok := errors.AsType[*regionmap.UnknownError](err)
	if !ok || !strings.Contains(unknown.Error(), "searched only in a control plane that") || !strings.HasSuffix(unknown.Error(), regionmap.Ways) {
		t.Errorf("error %v does not say that naming the plane helps, and the ways", err)
	}
}
