package config

import "strings"

// nearest returns the candidate that the fewest insertions, deletions and replacements make of name, case aside. Of
// equals it is the one that begins like name the longest: people err more at the end. "" where there is no candidate.
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

// sharedStart returns how many bytes a and b begin with in common.
func sharedStart(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// comparedBytes bounds the work of nearest: no name of ours is longer, and an environment may hold megabytes.
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
