package record

import (
	"slices"
	"strings"
)

// Limits of a tracestate (W3C Trace Context section 3.3): 32 members, and 512
// characters. 512 is the least that must be passed on; here it is also the most.
const (
	maxMembers     = 32
	maxState       = 512
	maxMemberKey   = 256
	maxMemberValue = 256
)

// readState returns text if it is a valid tracestate, otherwise "".
func readState(text string) string {
	if len(text) > maxState {
		return ""
	}
	var keys []string
	for member := range strings.SplitSeq(text, ",") {
		member = strings.Trim(member, " \t")
		if member == "" { // an empty member is allowed
			continue
		}
		key, value, ok := strings.Cut(member, "=")
		if !ok || !isMemberKey(key) || !isMemberValue(value) || len(keys) == maxMembers || slices.Contains(keys, key) {
			return ""
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return ""
	}
	return text
}

// isMemberKey reports whether key is a simple key or a key of a multi-tenant vendor
// ("tenant@vendor").
func isMemberKey(key string) bool {
	if key == "" || len(key) > maxMemberKey || !isLower(key[0]) && !isDigit(key[0]) || strings.Count(key, "@") > 1 {
		return false
	}
	for _, c := range []byte(key) {
		if !isLower(c) && !isDigit(c) && !strings.ContainsRune("_-*/@", rune(c)) {
			return false
		}
	}
	return true
}

// isMemberValue reports whether value is printable ASCII without "," and "=", and does
// not end with a space.
func isMemberValue(value string) bool {
	if value == "" || len(value) > maxMemberValue || value[len(value)-1] == ' ' {
		return false
	}
	for _, c := range []byte(value) {
		if c < ' ' || c > '~' || c == ',' || c == '=' {
			return false
		}
	}
	return true
}

func isLower(c byte) bool { return c >= 'a' && c <= 'z' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
