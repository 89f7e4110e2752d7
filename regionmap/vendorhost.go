package regionmap

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"osgate/internal/editdistance"
)

// vendorDomain is the domain of all hosts of the table.
const vendorDomain = "mulesoft.com"

// hosts returns the place of every known host. A region has two hosts: the BASE_URL's,
// and the one with a dot that the vendor's own list of regions returns.
func hosts() map[string]Place {
	index := map[string]Place{}
	for _, e := range endpoints {
		index[e.Host] = Place{Plane: e.Plane, Region: e.Region}
		index[dotted(e.Host)] = Place{Plane: e.Plane, Region: e.Region}
	}
	for _, p := range planes {
		index[p.accounts] = Place{Plane: p.name}
		index[p.stats] = Place{Plane: p.name}
	}
	return index
}

// dotted returns a region's host in the form of the vendor's list of regions.
func dotted(host string) string { return strings.Replace(host, "object-store-", "object-store.", 1) }

// hostPlace returns the place that a Host header names, the zero Place for a host
// outside the vendor's domain. A name under the vendor's domain that is not in the
// table is an error: a request meant for some region must not go to the default one.
func (m *Map) hostPlace(host string) (Place, error) {
	name := hostname(host)
	if place, ok := m.byHost[name]; ok {
		place.Way = "host"
		return place, nil
	}
	if name != vendorDomain && !strings.HasSuffix(name, "."+vendorDomain) {
		return Place{}, nil
	}
	if len(name) > longestName {
		return Place{}, &UnknownError{Reason: "the host is under " + vendorDomain + " and too long to name a location"}
	}
	return Place{}, &UnknownError{Reason: fmt.Sprintf("the host %q is not one of the vendor's hosts; the most similar one is %s", name, nearestHost(name))}
}

// nearestHost returns the host of the table with the smallest distance to name.
func nearestHost(name string) string {
	var known []string
	for _, e := range endpoints {
		known = append(known, e.Host)
	}
	for _, p := range planes {
		known = append(known, p.accounts, p.stats)
	}
	return slices.MinFunc(known, func(a, b string) int {
		return cmp.Compare(editdistance.Of(name, a), editdistance.Of(name, b))
	})
}
