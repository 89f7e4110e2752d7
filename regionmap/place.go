package regionmap

import (
	"fmt"
	"net"
	"slices"
	"strings"
)

// Header is the request header by which a client says where it wants to go: "us/us-east-1", a region id alone where it is unambiguous,
// or a plane alone.
const Header = "X-Osgate-Region"

// longestName bounds what of a header is repeated in an error; the longest location has 17 characters.
const longestName = 64

// Place is what a request itself says of where it goes: nothing, a plane, or a plane and a region.
type Place struct {
	Plane, Region string
	Way           string // how it was said: "host", "prefix" or "header"; empty where nothing was
}

// UnknownError is a request that no way places, or that two ways place differently.
type UnknownError struct {
	Reason string
	Plane  bool // it is a control plane that is not known, of a call that belongs to no region
}

// Ways are the five ways in which a client or an operator can say where a request goes, for error messages and documentation.
const Ways = "the Host of one of the 17 BASE_URLs, a path prefix /{plane}/{region}, the header " + Header +
	": {plane}/{region}, a route in OSGATE_ROUTES, or OSGATE_DEFAULT_REGION"

// PlaneWays are the ways for a call that belongs to a control plane and to no region.
const PlaneWays = "the Host of the control plane (such as anypoint.mulesoft.com) or of its Stats API, a path prefix /{plane}, the header " + Header +
	": {plane}, or OSGATE_DEFAULT_REGION"

// Error returns a sentence that names the ways.
func (e *UnknownError) Error() string {
	if e.Plane {
		return e.Reason + "; use " + PlaneWays
	}
	return e.Reason + "; use " + Ways
}

// NotAllowedError is a location outside OSGATE_PLANES and OSGATE_REGIONS.
type NotAllowedError struct{ What string }

// Error returns a sentence that names the location.
func (e *NotAllowedError) Error() string {
	return e.What + " is not among the locations that this gateway may reach"
}

// Read takes from a request what it says of its place: its Host, a prefix of its raw path, and the values of [Header]. It returns the path
// without the prefix, and without the empty segments in front that a base URL ending in "/" makes. Errors: *[UnknownError] where two ways
// contradict each other or one names no place, *[NotAllowedError].
func (m *Map) Read(host, path string, header []string) (Place, string, error) {
	var said []Place
	place, err := m.hostPlace(host)
	if err != nil {
		return Place{}, path, err
	}
	if place.Plane != "" {
		said = append(said, place)
	}
	place, rest, err := prefix(path)
	if err != nil {
		return Place{}, path, err
	}
	if place.Plane != "" {
		said = append(said, place)
	}
	for _, value := range header {
		place, err := m.headerPlace(value)
		if err != nil {
			return Place{}, rest, err
		}
		said = append(said, place)
	}
	place, err = agree(said)
	return place, rest, err
}

// agree merges what several ways said. A plane agrees with a region in it.
func agree(said []Place) (Place, error) {
	var merged Place
	for _, p := range said {
		switch {
		case merged.Plane == "":
			merged = p
		case p.Plane != merged.Plane, p.Region != "" && merged.Region != "" && p.Region != merged.Region:
			return Place{}, &UnknownError{Reason: fmt.Sprintf("the %s says %s and the %s says %s", merged.Way, merged, p.Way, p)}
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

// prefix reads /{plane}/{region}/api/…, /{plane}/api/… and /{plane}/accounts/…; a path without such a prefix is returned as it is. Empty segments in
// front of the plane, "api" and "accounts" are left out: a base URL that ends in "/" makes them.
func prefix(path string) (Place, string, error) {
	rest := strings.TrimLeft(path, "/")
	if rest == path {
		return Place{}, path, nil
	}
	if surface(rest) {
		return Place{}, "/" + rest, nil
	}
	name, rest, _ := strings.Cut(rest, "/")
	if planeIndex(name) < 0 {
		return Place{}, path, nil
	}
	if below := strings.TrimLeft(rest, "/"); surface(below) {
		return Place{Plane: name, Way: "prefix"}, "/" + below, nil
	}
	region, rest, _ := strings.Cut(rest, "/")
	below := strings.TrimLeft(rest, "/")
	if !strings.HasPrefix(below, "api/") {
		return Place{}, path, nil
	}
	if Host(Location{name, region}) == "" {
		return Place{}, path, &UnknownError{Reason: fmt.Sprintf("the prefix names a region that control plane %s does not have", name)}
	}
	return Place{Plane: name, Region: region, Way: "prefix"}, "/" + below, nil
}

// surface reports whether a path without its first "/" is one of Object Store, of its Stats API or of Access Management.
func surface(path string) bool {
	return strings.HasPrefix(path, "api/") || strings.HasPrefix(path, "accounts/")
}

// headerPlace reads one value of [Header].
func (m *Map) headerPlace(value string) (Place, error) {
	value = strings.ToLower(strings.TrimSpace(value))
	if len(value) > longestName {
		return Place{}, &UnknownError{Reason: "the header " + Header + " is too long to name a location"}
	}
	if planeIndex(value) >= 0 {
		return Place{Plane: value, Way: "header"}, nil
	}
	if l, ok := inTable(value); ok { // whether it is allowed is Locate's to say: a contradiction comes first
		return Place{Plane: l.Plane, Region: l.Region, Way: "header"}, nil
	}
	if strings.Contains(value, "/") {
		return Place{}, &UnknownError{Reason: "the header " + Header + " names none of the 17 locations"}
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

// hostname returns the host of a Host header in lower case, without port and without the root's dot.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
