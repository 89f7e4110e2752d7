// Package via writes and reads the gateway's own name in messages that it forwards (RFC
// 9110 section 7.6.3).
package via

import "strings"

// Name is the gateway's name in Via, Cache-Status and Proxy-Status.
const Name = "osgate"

// Of returns the gateway's own Via for a message of this HTTP version.
func Of(major, minor int) string {
	switch {
	case major >= 2:
		return "2 " + Name
	case minor == 0:
		return "1.0 " + Name
	}
	return "1.1 " + Name
}

// Passed reports whether one of the Via values contains the gateway's name.
func Passed(values []string) bool {
	for _, value := range values {
		for hop := range strings.SplitSeq(value, ",") {
			if fields := strings.Fields(hop); len(fields) > 1 && strings.EqualFold(fields[1], Name) {
				return true
			}
		}
	}
	return false
}
