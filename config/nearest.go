package config

import "strings"

// nearest returns the candidate with the fewest insertions, deletions and replacements
// from name, ignoring case. Among equal candidates it returns the one with the longest
// prefix in common with name, because people make more mistakes at the end. It returns
// "" if there are no candidates.
func nearest(name string, candidates []string) string {
	name = strings.ToUpper(name[:min(len(name), comparedBytes)])
	best, least, longest := "", 0, 0
	for _, candidate := range candidates {
		d, shared := distance(name, candidate), sharedStart(name, candidate)
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

// distance returns the Levenshtein distance of a and b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
