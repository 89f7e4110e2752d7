package config

import (
	"strings"

	"osgate/internal/editdistance"
)

// nearest returns the candidate with the fewest insertions, deletions and replacements
// from name, ignoring case. Among equal candidates it returns the one with the longest
// prefix in common with name, because people make more mistakes at the end. It returns
// "" if there are no candidates.
func nearest(name string, candidates []string) string {
	name = strings.ToUpper(name[:min(len(name), comparedBytes)])
	best, least, longest := "", 0, 0
	for _, candidate := range candidates {
		d, shared := editdistance.Of(name, candidate), sharedStart(name, candidate)
		if best == "" || d < least || d == least && shared > longest {
			best, least, longest = candidate, d, shared
		}
	}
	return best
}

// sharedStart returns the length in bytes of the common prefix of a and b.
func sharedStart(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// comparedBytes bounds the work of nearest: no osgate name is longer, and an
// environment may hold megabytes.
const comparedBytes = 64
