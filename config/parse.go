package config

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/caarlos0/env/v11"
)

// parseFunc parses the text of one variable. Its error is the Detail of a Problem.
type parseFunc[T any] func(f *field, text string) (T, error)

// parsers returns the parser of each field type. None of these types may have an
// UnmarshalText method: the env library would prefer it, and its error would not name
// the variable.
func (l *loader) parsers() map[reflect.Type]env.ParserFunc {
	funcs := map[reflect.Type]env.ParserFunc{}
	register(l, funcs, parseBool)
	register(l, funcs, parseText)
	register(l, funcs, ranged(strconv.Atoi, "whole number"))
	register(l, funcs, ranged(time.ParseDuration, "duration"))
	register(l, funcs, ranged(ParseBytes, "size"))
	register(l, funcs, func(_ *field, text string) (Secret, error) { return NewSecret(text), nil })
	register(l, funcs, parseURL)
	register(l, funcs, func(_ *field, text string) (Address, error) {
		address, err := parseAddress(text)
		if err != nil {
			return "", fmt.Errorf("%s is not an address; want host:port or :port, such as 127.0.0.1:8080", quote(text))
		}
		return address, nil
	})
	register(l, funcs, func(_ *field, text string) (Location, error) { return parseLocation(text) })
	register(l, funcs, func(_ *field, text string) (Planes, error) { return parsePlanes(text) })
	register(l, funcs, func(_ *field, text string) (Patterns, error) { return parsePatterns(text) })
	register(l, funcs, func(_ *field, text string) (Routes, error) { return parseRoutes(text) })
	register(l, funcs, func(_ *field, text string) (CacheRules, error) { return parseCacheRules(text) })
	register(l, funcs, parseOverrides)
	register(l, funcs, parsePrefixes)
	register(l, funcs, func(_ *field, text string) (Headers, error) { return parseHeaders(text) })
	register(l, funcs, func(_ *field, text string) (Origins, error) { return parseOrigins(text) })
	register(l, funcs, func(_ *field, text string) (Shares, error) { return parseShares(text) })
	registerBrokering(l, funcs)
	return funcs
}

// register makes parse the parser of every field of type T.
func register[T any](l *loader, funcs map[reflect.Type]env.ParserFunc, parse parseFunc[T]) {
	funcs[reflect.TypeFor[T]()] = func(text string) (any, error) {
		f := l.current
		value, err := parse(f, text)
		if err != nil {
			return nil, problemError{l.problem(f, err.Error())}
		}
		return value, nil
	}
}

func parseBool(_ *field, text string) (bool, error) {
	b, err := strconv.ParseBool(text)
	if err != nil {
		return false, fmt.Errorf("%s is not a boolean; want true or false", quote(text))
	}
	return b, nil
}

// parseText parses one of the words of oneof, in any case, or free text if the field
// has no oneof.
func parseText(f *field, text string) (string, error) {
	if f.choices == nil {
		if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			return "", errors.New("contains bytes that are not plain UTF-8 text")
		}
		return text, nil
	}
	word := strings.ToLower(text)
	if slices.Contains(f.choices, word) {
		return word, nil
	}
	return "", fmt.Errorf("%s is unknown; want %s", quote(text), strings.Join(f.choices, ", "))
}

// ranged returns a parser for a number, a duration or a size between the min and max of
// its field.
func ranged[T cmp.Ordered](parse func(string) (T, error), kind string) parseFunc[T] {
	return func(f *field, text string) (T, error) {
		value, err := parse(text)
		if err == nil &&
			(f.min == "" || value >= bound(parse, f.min)) && (f.max == "" || value <= bound(parse, f.max)) {
			return value, nil
		}
		right := "of at least " + f.min
		if f.max != "" {
			right = "from " + f.min + " to " + f.max
		}
		return value, fmt.Errorf("%s is not a %s %s, such as %s", quote(text), kind, right, f.Default)
	}
}

// bound parses a min or max tag. Tests prove that every tag parses.
func bound[T any](parse func(string) (T, error), tag string) T {
	value, err := parse(tag)
	if err != nil {
		panic("config: unreadable bound " + tag)
	}
	return value
}

// parseURL parses an absolute http or https URL. Its errors do not repeat the text,
// which may contain a password.
func parseURL(_ *field, text string) (URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Opaque != "":
		return URL{}, errors.New("is not an absolute URL; want http:// or https:// and a host")
	case u.User != nil:
		return URL{}, errors.New("contains a user or password; want a URL without them")
	case !goodHost(u):
		return URL{}, errors.New("has an invalid host or port; want a URL such as https://host:8443")
	case strings.Contains(text, "#"):
		return URL{}, errors.New("has a fragment; want a URL without #")
	}
	return NewURL(u), nil
}

// goodHost reports whether the host of u is an IP or a name, and its port a number or
// absent.
func goodHost(u *url.URL) bool {
	port := u.Port()
	if port == "" {
		port = "443"
	}
	_, err := parseAddress("[" + u.Hostname() + "]:" + port)
	return err == nil && u.Hostname() != "" && !strings.HasSuffix(u.Host, ":")
}

// parseOverrides parses clientId=quota pairs. The last = of a pair separates the two.
func parseOverrides(f *field, text string) (map[string]int, error) {
	items, err := list(text)
	if err != nil {
		return nil, err
	}
	overrides := make(map[string]int, len(items))
	for _, item := range items {
		at := max(strings.LastIndex(item, "="), 0)
		client, quota := strings.TrimSpace(item[:at]), strings.TrimSpace(strings.TrimPrefix(item[at:], "="))
		limit, err := strconv.Atoi(quota)
		switch {
		case client == "":
			return nil, fmt.Errorf("%s is not CLIENT_ID=QUOTA; want a pair such as clientId=100", quote(item))
		case err != nil || limit < 0 || limit > maxRate:
			return nil, fmt.Errorf("%s has no quota from 0 to %d; want a pair such as clientId=100",
				quote(item), maxRate)
		}
		if _, err := parseText(f, client); err != nil {
			return nil, fmt.Errorf("the client ID of %s %w", quote(item), err)
		}
		if _, twice := overrides[client]; twice {
			return nil, fmt.Errorf("%s repeats a client; want one quota for each client", quote(item))
		}
		overrides[client] = limit
	}
	return overrides, nil
}

// maxRate bounds each override, as the max tag of RATE bounds the rate for all clients.
const maxRate = 1_000_000

// parsePrefixes parses a list of CIDRs and masks them.
func parsePrefixes(_ *field, text string) ([]netip.Prefix, error) {
	items, err := list(text)
	if err != nil {
		return nil, err
	}
	var prefixes []netip.Prefix
	for _, item := range items {
		prefix, err := netip.ParsePrefix(item)
		if err != nil {
			return nil, fmt.Errorf(
				"%s is not a CIDR; want a prefix such as 10.0.0.0/8 or 2001:db8::/32 (/32 or /128 for one address)",
				quote(item))
		}
		if prefix.Addr().Is4In6() {
			return nil, fmt.Errorf("%s would match no IPv4 address; want the IPv4 form, such as 10.0.0.0/8",
				quote(item))
		}
		prefixes = append(prefixes, prefix.Masked())
	}
	return prefixes, nil
}

// list splits text at commas and trims spaces around the items. An empty item is an
// error and is not skipped, because a list without items may mean all.
func list(text string) ([]string, error) {
	items := strings.Split(text, ",")
	seen := make(map[string]bool, len(items))
	for i, item := range items {
		items[i] = strings.TrimSpace(item)
		switch {
		case items[i] == "":
			return nil, fmt.Errorf("item %d is empty; want one comma between two items", i+1)
		case seen[items[i]]:
			return nil, fmt.Errorf("%s is given twice; want it once", quote(items[i]))
		}
		seen[items[i]] = true
	}
	return items, nil
}

// Origins are origins of web pages as browsers write them (RFC 6454 section 6.1), in
// lower case, without duplicates; or "*" alone.
type Origins []string

// parseOrigins parses a list of origins.
func parseOrigins(text string) (Origins, error) {
	items, err := list(text)
	if err != nil {
		return nil, err
	}
	var origins Origins
	for _, item := range items {
		origin := strings.ToLower(item)
		u, err := url.Parse(origin)
		switch {
		case origin == "*" && len(items) == 1:
		case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || origin != u.Scheme+"://"+u.Host:
			return nil, fmt.Errorf(
				"%s is not an origin; want one such as https://app.example.com, without a path, or * alone",
				quote(item))
		case slices.Contains(origins, origin):
			return nil, fmt.Errorf("%s is given twice; want it once", quote(origin))
		}
		origins = append(origins, origin)
	}
	return origins, nil
}

// Headers are names of request headers in lower case, without duplicates.
type Headers []string

// confidential lists the headers whose values only the control plane may read.
var confidential = []string{"authorization", "cookie", "proxy-authorization"}

// notInName reports whether r does not occur in the header names in use. RFC 9110
// section 5.1 allows more characters.
func notInName(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_')
}

// parseHeaders parses a list of header names.
func parseHeaders(text string) (Headers, error) {
	items, err := list(text)
	if err != nil {
		return nil, err
	}
	var headers Headers
	for _, item := range items {
		name := strings.ToLower(item)
		switch {
		case strings.ContainsFunc(name, notInName):
			return nil, fmt.Errorf("%s is not a header name; want a name such as x-app-name", quote(item))
		case slices.Contains(confidential, name):
			return nil, fmt.Errorf(
				"%s contains a secret, so rules may not read it; want a header of your own, such as x-app-name",
				quote(item))
		case slices.Contains(headers, name):
			return nil, fmt.Errorf("%s is given twice; want it once", quote(name))
		}
		headers = append(headers, name)
	}
	return headers, nil
}

// Shares maps a class of access lines to the share of its lines that is kept, from 0 to
// 1. All lines of a class without an entry are kept.
type Shares map[string]float64

// sampled lists the classes of access lines that may be sampled. Failures are always
// kept.
var sampled = []string{"hit", "ok", "client_error", "refused"}

// parseShares parses a list of class=share pairs.
func parseShares(text string) (Shares, error) {
	items, err := list(text)
	if err != nil {
		return nil, err
	}
	shares := Shares{}
	for _, item := range items {
		class, value, ok := strings.Cut(item, "=")
		class = strings.TrimSpace(class)
		share, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		_, twice := shares[class]
		switch {
		case !ok || err != nil || !(share >= 0 && share <= 1):
			return nil, fmt.Errorf("%s is not CLASS=SHARE; want a share from 0 to 1, such as hit=0.01", quote(item))
		case !slices.Contains(sampled, class):
			return nil, fmt.Errorf("%s is not a class; want one of %s", quote(class), strings.Join(sampled, ", "))
		case twice:
			return nil, fmt.Errorf("%s is given twice; want it once", quote(class))
		}
		shares[class] = share
	}
	return shares, nil
}

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
		return Route{}, fmt.Errorf(
			"%s has %d segments; want org, org/env or org/env/store (write a / inside a name as %%2F)",
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
