// Package editdistance measures how different two names are, to find the name that a
// user probably meant.
package editdistance

// Of returns the Levenshtein distance of a and b: the least number of bytes to insert,
// delete or replace to make one from the other. It takes time in proportion to
// len(a)*len(b), so callers bound the length.
func Of(a, b string) int {
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
