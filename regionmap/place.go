package regionmap

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strings"

	"osgate/internal/editdistance"
)

// Header is the request header with which a client names its location: "us/us-east-1",
// a region id if it is unambiguous, or a plane.
const Header = "X-Osgate-Region"

// longestName is the maximum length of a header value in an error; the longest location
// has 17 characters.
const longestName = 64

// Place is the part of a location that the request itself names: none, a plane, or a
// plane and a region.
type Place struct {
	Plane, Region string
	Way           string // the way that named it: "host", "prefix" or "header"; empty if none did
}

// UnknownError reports that no way places a request, or that two ways contradict each
// other.
type UnknownError struct {
	Reason string
	Plane  bool // the control plane is unknown, for a call that belongs to no region
}

// Ways names the five ways in which a client or an operator can place a request, for
// error messages and documentation.
const Ways = "the Host of one of the 17 BASE_URLs, a path prefix /{plane}/{region}, the header " + Header +
	": {plane}/{region}, a route in OSGATE_ROUTES, or OSGATE_DEFAULT_REGION"

// PlaneWays names the ways for a call that belongs to a control plane and to no region.
const PlaneWays = "the Host of the control plane (such as anypoint.mulesoft.com) or of its Stats API, a path prefix /{plane}, the header " +
	Header + ": {plane}, or OSGATE_DEFAULT_REGION"

// Error returns a sentence that names the ways.
func (e *UnknownError) Error() string {
	if e.Plane {
		return e.Reason + "; use " + PlaneWays
	}
	return e.Reason + "; use " + Ways
}

// NotAllowedError reports a location outside OSGATE_PLANES and OSGATE_REGIONS.
type NotAllowedError struct{ What string }

// Error returns a sentence that names the location.
func (e *NotAllowedError) Error() string {
	return e.What + " is not among the locations that this gateway may reach"
}

// Read returns the place that a request names by its Host, by a prefix of its raw path,
// and by the values of [Header]. It returns the path without the prefix, and without
// the empty segments at the beginning that result from a base URL ending in "/".
// Errors: *[UnknownError] if two ways contradict each other or one names an unknown
// location, *[NotAllowedError].
func (m *Map) Read(host, path string, header []string) (Place, string, error) {
	named := make([]Place, 0, 3) // each way once, as usual
	place, err := m.hostPlace(host)
	if err != nil {
		return Place{}, path, err
	}
	if place.Plane != "" {
		named = append(named, place)
	}
	place, rest, err := prefix(path)
	if err != nil {
		return Place{}, path, err
	}
	if place.Plane != "" {
		named = append(named, place)
	}
	for _, value := range header {
		place, err := m.headerPlace(value)
		if err != nil {
			return Place{}, rest, err
		}
		named = append(named, place)
	}
	place, err = agree(named)
	return place, rest, err
}

// agree merges the places that several ways named. A plane agrees with a region in it.
func agree(named []Place) (Place, error) {
	var merged Place
	for _, p := range named {
		switch {
		case merged.Plane == "":
			merged = p
		case p.Plane != merged.Plane, p.Region != "" && merged.Region != "" && p.Region != merged.Region:
			return Place{}, &UnknownError{
				Reason: fmt.Sprintf("the %s names %s but the %s names %s", merged.Way, merged, p.Way, p),
			}
		case merged.Region == "":
			merged = p
		}
	}
	return merged, nil
}

// within reports whether l is a location that does not contradict p's plane.
func (p Place) within(l Location) bool {
	return l != (Location{}) && (p.Plane == "" || p.Plane == l.Plane)
}

// String returns "plane/region", or the plane alone.
func (p Place) String() string {
	if p.Region == "" {
		return p.Plane
	}
	return p.Plane + "/" + p.Region
}

// prefix parses /{plane}/{region}/api/…, /{plane}/api/… and /{plane}/accounts/…; it
// returns a path without such a prefix unchanged. It removes empty segments before the
// plane, "api" and "accounts": they result from a base URL that ends in "/".
func prefix(path string) (Place, string, error) {
	rest := strings.TrimLeft(path, "/")
	if rest == path {
		return Place{}, path, nil
	}
	if surface(rest) {
		return Place{}, withSlash(path, rest), nil
	}
	name, rest, _ := strings.Cut(rest, "/")
	if planeIndex(name) < 0 {
		return Place{}, path, nil
	}
	if below := strings.TrimLeft(rest, "/"); surface(below) {
		return Place{Plane: name, Way: "prefix"}, withSlash(path, below), nil
	}
	region, rest, _ := strings.Cut(rest, "/")
	below := strings.TrimLeft(rest, "/")
	if !strings.HasPrefix(below, "api/") {
		return Place{}, path, nil
	}
	if Host(Location{name, region}) == "" {
		return Place{}, path, &UnknownError{
			Reason: fmt.Sprintf("the path prefix names a region that control plane %s does not have", name),
		}
	}
	return Place{Plane: name, Region: region, Way: "prefix"}, withSlash(path, below), nil
}

// withSlash returns the end of path that begins with the "/" before rest, which is the
// end of path too. It does not copy.
func withSlash(path, rest string) string { return path[len(path)-len(rest)-1:] }

// surface reports whether a path without its first "/" belongs to Object Store, its
// Stats API or Access Management.
func surface(path string) bool {
	return strings.HasPrefix(path, "api/") || strings.HasPrefix(path, "accounts/")
}

// headerPlace parses one value of [Header].
func (m *Map) headerPlace(value string) (Place, error) {
	value = strings.ToLower(strings.TrimSpace(value))
	if len(value) > longestName {
		return Place{}, &UnknownError{Reason: "the header " + Header + " is too long to name a location"}
	}
	if planeIndex(value) >= 0 {
		return Place{Plane: value, Way: "header"}, nil
	}
	if l, ok := inTable(value); ok { // Locate checks whether it is allowed: a contradiction is reported first
		return Place{Plane: l.Plane, Region: l.Region, Way: "header"}, nil
	}
	if strings.Contains(value, "/") {
		return Place{}, &UnknownError{Reason: "the header " + Header + " does not name one of the 17 locations"}
	}
	l, err := m.parse(value)
	if err != nil {
		return Place{}, err
	}
	return Place{Plane: l.Plane, Region: l.Region, Way: "header"}, nil
}

func inTable(text string) (Location, bool) {
	i := slices.IndexFunc(endpoints, func(e Endpoint) bool { return e.Location.String() == text })
	if i < 0 {
		return Location{}, false
	}
	return endpoints[i].Location, true
}

// hostname returns the host of a Host header in lower case, without port and without a
// trailing dot.
func hostname(host string) string {
	if strings.Contains(host, ":") { // otherwise SplitHostPort would allocate its error
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// vendorDomain is the domain of all hosts of the table.
const vendorDomain = "mulesoft.com"

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
	return Place{}, &UnknownError{Reason: fmt.Sprintf(
		"the host %q is not one of the vendor's hosts; the most similar one is %s", name, nearestHost(name))}
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
