package board

// slot returns the step with number n of a ring: held contains the last len(held) steps,
// of which newest has the highest number. The steps between newest and n are cleared. A
// late n counts to the newest step.
func slot[T any](held []T, newest *int64, n int64) *T {
	var zero T
	size := int64(len(held))
	for from := max(*newest+1, n-size+1); from <= n; from++ {
		held[from%size] = zero
	}
	*newest = max(*newest, n)
	return &held[*newest%size]
}
