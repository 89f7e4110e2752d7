package regionmap

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"osgate/objectstore"
)

// Route sends requests at or below a level of the hierarchy to a location. An empty
// Environment or Store means the whole level above it.
type Route struct {
	Organization, Environment, Store string
	To                               string // "plane/region", or a region id that only one enabled plane has
}

// Options configure a [Map]. The zero Options allow all 17 locations, without routes
// and without a default.
type Options struct {
	Planes []string // control planes that may be reached; empty: all
	// locations that may be reached: "plane/region", "plane/*" or a region id that only
	// one of Planes has; empty: all of Planes
	Regions []string
	Routes  []Route
	Default string // location of requests that no other way places, as in Route.To; empty: none

	Discover bool // search for stores that neither a request nor a route places, before Default: see [Map.Undecided]
}

// Map determines the location of requests.
type Map struct {
	allowed  map[Location]bool
	enabled  []string // planes with an allowed location, in the table's order
	byHost   map[string]Place
	routes   atomic.Pointer[map[routeKey]Location] // replaced as a whole
	fallback Location
	discover bool
}

type routeKey struct{ organization, environment, store string }

// OptionError is one problem of [Options].
type OptionError struct {
	Option string // the field's name: "Planes", "Regions", "Routes" or "Default"
	Detail string
}

// Error returns the detail: the problem and the valid values.
func (e *OptionError) Error() string { return e.Detail }

func problem(option, format string, args ...any) error {
	return &OptionError{Option: option, Detail: fmt.Sprintf(format, args...)}
}

// New returns a Map, or all problems, joined: an *[OptionError] for every plane,
// location and route that is not in the table or not allowed.
func New(o Options) (*Map, error) {
	m := &Map{allowed: map[Location]bool{}, byHost: hosts(), discover: o.Discover}
	problems := m.allow(o)
	problems = append(problems, m.setRoutes(o.Routes)...)
	if o.Default != "" {
		l, err := m.parse(o.Default)
		if err != nil {
			problems = append(problems, problem("Default", "default region: %s", reason(err)))
		}
		m.fallback = l
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return m, nil
}

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

// SetRoutes replaces all routes, for later requests. If a route is invalid, it returns
// all problems, as New does, and changes nothing. It is safe for concurrent use with
// all other methods.
func (m *Map) SetRoutes(routes []Route) error { return errors.Join(m.setRoutes(routes)...) }

func (m *Map) setRoutes(routes []Route) (problems []error) {
	all := make(map[routeKey]Location, len(routes))
	for _, r := range routes {
		l, err := m.parse(r.To)
		if err != nil {
			problems = append(problems, problem("Routes", "route of %s: %s",
				strings.Trim(r.Organization+"/"+r.Environment+"/"+r.Store, "/"), reason(err)))
			continue
		}
		all[routeKey{r.Organization, r.Environment, r.Store}] = l
	}
	if problems == nil {
		m.routes.Store(&all)
	}
	return problems
}

// allow sets the allowed locations from the planes and regions of o.
func (m *Map) allow(o Options) (problems []error) {
	for _, name := range o.Planes {
		if planeIndex(name) < 0 {
			problems = append(problems,
				problem("Planes", "plane %q: want one of %s", name, strings.Join(Planes(), ", ")))
		}
	}
	byPlane := func(l Location) bool { return len(o.Planes) == 0 || slices.Contains(o.Planes, l.Plane) }
	for _, pattern := range o.Regions {
		var in []string
		for _, e := range endpoints {
			if covers(pattern, e.Location) && (strings.Contains(pattern, "/") || byPlane(e.Location)) {
				in = append(in, e.Location.String())
			}
		}
		switch {
		case len(in) == 0:
			problems = append(problems,
				problem("Regions", "region %q: want one of the 17 locations as plane/region, or plane/*", pattern))
		case len(in) > 1 && !strings.Contains(pattern, "/"):
			problems = append(problems, problem("Regions",
				"region %q exists in more than one control plane: write one of %s", pattern, strings.Join(in, ", ")))
		}
	}
	for _, e := range endpoints {
		byRegion := len(o.Regions) == 0 ||
			slices.ContainsFunc(o.Regions, func(p string) bool { return covers(p, e.Location) })
		if byPlane(e.Location) && byRegion {
			m.allowed[e.Location] = true
			if !slices.Contains(m.enabled, e.Plane) {
				m.enabled = append(m.enabled, e.Plane)
			}
		}
	}
	if len(m.enabled) == 0 && len(problems) == 0 {
		problems = append(problems, problem("Regions", "regions: no location of the allowed planes is allowed"))
	}
	return problems
}

// reason returns the text of an error of parse without the ways of a request.
func reason(err error) string {
	if unknown, ok := errors.AsType[*UnknownError](err); ok {
		return unknown.Reason
	}
	return err.Error()
}

// covers reports whether pattern, "plane/region", "plane/*" or only a region id, covers
// l.
func covers(pattern string, l Location) bool {
	return pattern == l.String() || pattern == l.Plane+"/*" || pattern == l.Region
}

// Allowed returns the endpoints that may be reached, in the table's order.
func (m *Map) Allowed() []Endpoint {
	return slices.DeleteFunc(Endpoints(), func(e Endpoint) bool { return !m.allowed[e.Location] })
}

// EnabledPlanes returns the planes that have an allowed location.
func (m *Map) EnabledPlanes() []string { return slices.Clone(m.enabled) }

// Locate returns the location of an operation on ref: place if it names a region,
// otherwise the longest route, otherwise the default. If place names only a plane, only
// a route or default within it counts. Locate does not search: call [Map.Undecided]
// first. Errors: *[UnknownError], *[NotAllowedError].
func (m *Map) Locate(place Place, ref objectstore.Ref) (Location, error) {
	if place.Region != "" {
		return m.check(Location{place.Plane, place.Region})
	}
	if l, ok := m.routed(place, ref); ok {
		return l, nil
	}
	if place.within(m.fallback) {
		return m.fallback, nil
	}
	if m.discover && ref.Store != "" && place.Plane == "" {
		return Location{}, &UnknownError{Reason: "the request names no region, " +
			"and its store is searched only in a control plane that Host, path prefix or header names"}
	}
	if place.Plane != "" {
		return Location{}, &UnknownError{
			Reason: "the " + place.Way + " names control plane " + place.Plane + " but no region",
		}
	}
	return Location{}, &UnknownError{Reason: "the request names no region"}
}

// Undecided reports whether the region of an operation on ref must be discovered, and
// in which plane: the one that place names, otherwise the only enabled one. This is so
// with [Options].Discover, for operations in a store, if place names no region and no
// route applies.
func (m *Map) Undecided(place Place, ref objectstore.Ref) (plane string, ok bool) {
	if !m.discover || ref.Store == "" || place.Region != "" {
		return "", false
	}
	if _, ok := m.routed(place, ref); ok {
		return "", false
	}
	switch {
	case place.Plane != "":
		return place.Plane, slices.Contains(m.enabled, place.Plane)
	case len(m.enabled) == 1:
		return m.enabled[0], true
	}
	return "", false
}

// routed returns the location of the longest route for ref within place.
func (m *Map) routed(place Place, ref objectstore.Ref) (Location, bool) {
	routes := *m.routes.Load()
	for _, key := range []routeKey{
		{ref.Organization, ref.Environment, ref.Store},
		{ref.Organization, ref.Environment, ""},
		{ref.Organization, "", ""},
	} {
		if l, ok := routes[key]; ok && place.within(l) {
			return l, true
		}
	}
	return Location{}, false
}

// Plane returns the control plane of a call that belongs to a plane and to no region:
// the plane that place names, otherwise the default region's, otherwise the only
// enabled one. Errors: *[UnknownError], *[NotAllowedError].
func (m *Map) Plane(place Place) (string, error) {
	switch {
	case place.Plane != "" && !slices.Contains(m.enabled, place.Plane):
		return "", &NotAllowedError{What: "control plane " + place.Plane}
	case place.Plane != "":
		return place.Plane, nil
	case m.fallback.Plane != "":
		return m.fallback.Plane, nil
	case len(m.enabled) == 1:
		return m.enabled[0], nil
	}
	return "", &UnknownError{Reason: "the request names no control plane", Plane: true}
}

// check returns l if it may be reached.
func (m *Map) check(l Location) (Location, error) {
	if !m.allowed[l] {
		return Location{}, &NotAllowedError{What: l.String()}
	}
	return l, nil
}

// parse parses a location as operators and clients write it: "plane/region", or only a
// region id that one enabled plane has.
func (m *Map) parse(text string) (Location, error) {
	if name, region, both := strings.Cut(text, "/"); both {
		l := Location{name, region}
		if Host(l) == "" {
			return Location{}, &UnknownError{Reason: fmt.Sprintf("%q is not one of the 17 locations", text)}
		}
		return m.check(l)
	}
	var in []string
	known := false
	for _, e := range endpoints {
		if e.Region != text {
			continue
		}
		known = true
		if m.allowed[e.Location] {
			in = append(in, e.Location.String())
		}
	}
	switch {
	case !known:
		return Location{}, &UnknownError{Reason: fmt.Sprintf("%q is not a region", text)}
	case len(in) == 0:
		return Location{}, &NotAllowedError{What: text}
	case len(in) > 1:
		return Location{}, &UnknownError{Reason: fmt.Sprintf(
			"region %s exists in more than one control plane: write one of %s", text, strings.Join(in, ", "))}
	}
	name, region, _ := strings.Cut(in[0], "/")
	return Location{name, region}, nil
}
