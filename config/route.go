package config

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Route sends an organization, one of its environments, or one store of that
// environment to a location. Environment and Store are "" if the route is for all of
// them; the three names are decoded.
type Route struct {
	Organization, Environment, Store string
	Location                         Location
}

// Routes are the routes in the order given, no two for the same place; nil if there are
// none. The longest match wins.
type Routes []Route

// parseRoutes parses place=location pairs. The last = of a pair separates the two, so
// that a place may contain others.
func parseRoutes(text string) (Routes, error) {
	items, err := list(text)
	if err != nil {
		return nil, err
	}
	var routes Routes
	places := make(map[Route]bool, len(items))
	for _, item := range items {
		route, err := parseRoute(item)
		if err != nil {
			return nil, err
		}
		place := route
		place.Location = ""
		if places[place] {
			return nil, fmt.Errorf("%s repeats a place; want one route for each place", quote(item))
		}
		places[place] = true
		routes = append(routes, route)
	}
	return routes, nil
}

// parseRoute parses one place=location pair.
func parseRoute(item string) (Route, error) {
	at := strings.LastIndex(item, "=")
	if at < 0 {
		return Route{}, fmt.Errorf("%s has no =; want org=plane/region, org/env=… or org/env/store=…", quote(item))
	}
	location, err := parseLocation(strings.TrimSpace(item[at+1:]))
	if err != nil {
		return Route{}, err
	}
	segments := strings.Split(strings.TrimSpace(item[:at]), "/")
	if len(segments) > 3 {
		return Route{}, fmt.Errorf("%s has %d segments; want org, org/env or org/env/store (write a / inside a name as %%2F)",
			quote(item), len(segments))
	}
	place := make([]string, 3)
	for i, segment := range segments {
		if place[i], err = decodeSegment(segment); err != nil {
			return Route{}, fmt.Errorf("%s holds %w", quote(item), err)
		}
	}
	return Route{Organization: place[0], Environment: place[1], Store: place[2], Location: location}, nil
}

// decodeSegment decodes one segment of a place, once.
func decodeSegment(segment string) (string, error) {
	decoded, err := url.PathUnescape(segment)
	switch {
	case err != nil:
		return "", errors.New("an invalid percent-encoding; want % and two hexadecimal digits")
	case decoded == "":
		return "", errors.New("an empty segment; want org, org/env or org/env/store")
	case !utf8.ValidString(decoded) || strings.ContainsFunc(decoded, unicode.IsControl):
		return "", errors.New("a segment that is not plain UTF-8 text")
	}
	return decoded, nil
}
