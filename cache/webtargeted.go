package cache

import (
	"net/http"
	"strings"
)

// controls returns the header that contains upstream's directives for this cache. A
// valid CDN-Cache-Control replaces Cache-Control and Expires (RFC 9213 section 2.2).
// For operations it is ignored: Object Store is not known to send one.
func (r *rules) controls(h http.Header) http.Header {
	lines := h["Cdn-Cache-Control"]
	if r.operation != nil || len(lines) == 0 || !targeted(lines) {
		return h
	}
	return http.Header{"Cache-Control": lines}
}

// targeted reports whether the lines are a structured dictionary that is not empty and
// whose numbers of seconds are numbers (RFC 9213 section 2.1; RFC 9651 section 4.2.2).
// Parameters and inner lists have no meaning in a directive and make it invalid.
func targeted(lines []string) bool {
	members := 0
	for _, line := range lines {
		for rest := line; rest != ""; {
			var member string
			member, rest = cutItem(rest)
			member = strings.Trim(member, " \t")
			if !dictionaryMember(member) {
				return false
			}
			members++
		}
		if strings.HasSuffix(strings.TrimRight(line, " \t"), ",") {
			return false
		}
	}
	return members > 0
}

func dictionaryMember(member string) bool {
	name, value, hasValue := strings.Cut(member, "=")
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_-.*") != "" || strings.IndexByte("0123456789_-.", name[0]) >= 0 {
		return false
	}
	switch name {
	case "max-age", "s-maxage", "stale-while-revalidate", "stale-if-error":
		return len(value) <= maxIntegerDigits && isNumber(value)
	}
	return !hasValue || isNumber(value) || isToken(value) || value == "?0" || value == "?1" || len(value) > 1 && unquote(value) != value
}

// maxIntegerDigits is the maximum length of an integer (RFC 9651 section 3.3.1).
const maxIntegerDigits = 15

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
