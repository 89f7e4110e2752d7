package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
)

// shuffle returns the mutations in an order that depends on the seed. The position of
// each mutation depends only on its own text, so that a change in another part of the
// package keeps most of a sample.
func shuffle(mutations []Mutation, seed uint64) []Mutation {
	type ranked struct {
		Mutation
		rank [sha256.Size]byte
	}
	order := make([]ranked, 0, len(mutations))
	for _, m := range mutations {
		order = append(order, ranked{m, sha256.Sum256(fmt.Appendf(nil, "%d %d %s", seed, m.Same[0], m.lines()))})
	}
	slices.SortFunc(order, func(a, b ranked) int {
		return cmp.Or(bytes.Compare(a.rank[:], b.rank[:]), cmp.Compare(a.start, b.start))
	})
	shuffled := make([]Mutation, 0, len(order))
	for _, m := range order {
		shuffled = append(shuffled, m.Mutation)
	}
	return shuffled
}
