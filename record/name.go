package record

import "unicode/utf8"

// maxName is the maximum length of a name in bytes.
const maxName = 128

// ShortName truncates a name that is longer than 128 bytes, between two characters.
// Keepers that hold names use it, so that their memory has a bound.
func ShortName(name string) string {
	if len(name) <= maxName {
		return name
	}
	cut := maxName
	for cut > 0 && !utf8.RuneStart(name[cut]) {
		cut--
	}
	return name[:cut] + "…"
}
