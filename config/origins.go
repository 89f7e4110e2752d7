package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

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
			return nil, fmt.Errorf("%s is not an origin; want one such as https://app.example.com, without a path, or * alone", quote(item))
		case slices.Contains(origins, origin):
			return nil, fmt.Errorf("%s is given twice; want it once", quote(origin))
		}
		origins = append(origins, origin)
	}
	return origins, nil
}
