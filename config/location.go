package config

import (
	"fmt"
	"slices"
	"strings"
)

// Location is "plane/region", such as "eu/eu-central-1", or a bare region id, which the
// region map accepts if only one enabled plane has it. It is empty if unset. This
// package does not check that the region exists.
type Location string

// Plane returns the part before the slash, "" for a bare region id.
func (l Location) Plane() string {
	plane, _, qualified := strings.Cut(string(l), "/")
	if !qualified {
		return ""
	}
	return plane
}

// Region returns the part after the slash, or the whole of a bare region id.
func (l Location) Region() string {
	return string(l[strings.Index(string(l), "/")+1:])
}

// Planes lists the control planes that may be reached: some of "us", "gov", "eu", "ca"
// and "jp"; nil for all of them.
type Planes []string

// Has reports whether plane may be reached.
func (p Planes) Has(plane string) bool { return p == nil || slices.Contains(p, plane) }

// Patterns lists the locations that may be reached, each "plane/*", "plane/region" or a
// bare region id; nil for all.
type Patterns []string

// planeNames returns the names of all control planes.
func planeNames() []string { return []string{"us", "gov", "eu", "ca", "jp"} }

const locationForm = "plane/region such as us/us-east-1 (planes: us, gov, eu, ca, jp)"

// parseLocation parses plane/region or a bare region id.
func parseLocation(text string) (Location, error) {
	l := Location(text)
	if strings.Contains(text, "/") && !slices.Contains(planeNames(), l.Plane()) || !regionID(l.Region()) {
		return "", fmt.Errorf("%s is not a location; want %s", quote(text), locationForm)
	}
	return l, nil
}

// regionID reports whether text has the form of a region id.
func regionID(text string) bool {
	return only(text, "-") && strings.ToLower(text) == text && len(text) <= 64 && strings.Trim(text, "-") == text
}

// parsePlanes parses a list of planes; "all" is nil.
func parsePlanes(text string) (Planes, error) {
	if text == "all" {
		return nil, nil
	}
	items, err := list(text)
	if err != nil {
		return nil, err
	}
	for _, item := range items {
		if !slices.Contains(planeNames(), item) {
			return nil, fmt.Errorf("%s is not a plane; want all, or a list of planes from us,gov,eu,ca,jp", quote(item))
		}
	}
	return items, nil
}

// parsePatterns parses a list of patterns; "all" is nil.
func parsePatterns(text string) (Patterns, error) {
	if text == "all" {
		return nil, nil
	}
	items, err := list(text)
	if err != nil {
		return nil, err
	}
	for _, item := range items {
		if plane, every := strings.CutSuffix(item, "/*"); every && slices.Contains(planeNames(), plane) {
			continue
		}
		if _, err := parseLocation(item); err != nil {
			return nil, fmt.Errorf("%w, plane/* or all", err)
		}
	}
	return items, nil
}
