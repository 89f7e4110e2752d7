package regionmap_test

import (
	"errors"
	"testing"

	"osgate/objectstore"
	"osgate/regionmap"
)

func TestRoutesAreReplacedWholeOrNotAtAll(t *testing.T) {
	m, err := regionmap.New(regionmap.Options{Planes: []string{"us"}, Default: "us/us-east-1", Routes: []regionmap.Route{{Organization: "a", To: "us/us-east-2"}}})
	if err != nil {
		t.Fatal(err)
	}
	leads := func(organization, to string) {
		t.Helper()
		if l, err := m.Locate(regionmap.Place{}, objectstore.Ref{Organization: organization}); err != nil || l.String() != to {
			t.Errorf("%s goes to %v, %v; want %s", organization, l, err, to)
		}
	}
	leads("a", "us/us-east-2")
	err = m.SetRoutes([]regionmap.Route{{Organization: "b", To: "us/us-west-2"}, {Organization: "c", To: "eu/eu-west-1"}})
	if wrong, ok := errors.AsType[*regionmap.OptionError](err); !ok || wrong.Option != "Routes" {
		t.Errorf("a route out of the planes: %v, want a problem of Routes", err)
	}
	leads("a", "us/us-east-2")
	leads("b", "us/us-east-1")
	if err := m.SetRoutes([]regionmap.Route{{Organization: "b", To: "us/us-west-2"}}); err != nil {
		t.Error(err)
	}
	leads("a", "us/us-east-1")
	leads("b", "us/us-west-2")
}
