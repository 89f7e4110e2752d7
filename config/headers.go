package config

import (
	"fmt"
	"slices"
	"strings"
)

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
			return nil, fmt.Errorf("%s contains a secret, so rules may not read it; want a header of your own, such as x-app-name", quote(item))
		case slices.Contains(headers, name):
			return nil, fmt.Errorf("%s is given twice; want it once", quote(name))
		}
		headers = append(headers, name)
	}
	return headers, nil
}
