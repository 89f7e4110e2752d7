package auth

import (
	"fmt"
	"iter"
	"testing"
)

// counting returns the sequence of all, and the number of organizations read from it.
func counting(all []organization) (seq iter.Seq[organization], read *int) {
	read = new(int)
	return func(yield func(organization) bool) {
		for _, o := range all {
			*read++
			if !yield(o) {
				return
			}
		}
	}, read
}

// Each organization is read exactly twice, for all relations between them: the work for
// 20,000 of them grows with their number.
func TestTreesAreFoundByReadingEachOrganizationTwice(t *testing.T) {
	const n = 20_000
	yes, no := true, false
	name := func(i int) string { return fmt.Sprint("organization ", i) }
	for what, tt := range map[string]struct {
		make  func(i int) organization
		trees int
	}{
		"all are roots":                       {func(i int) organization { return organization{ID: name(i), IsRoot: &yes} }, n},
		"all are below the last":              {func(i int) organization { return organization{ID: name(i), IsRoot: new(i == n-1), Parent: name(n - 1)} }, 1},
		"all are below one that is not there": {func(i int) organization { return organization{ID: name(i), Parents: []string{"root"}} }, 1},
		"each is below one of its own":        {func(i int) organization { return organization{ID: name(i), Parents: []string{"root of " + name(i)}} }, n},
		"none states what is above it":        {func(i int) organization { return organization{ID: name(i), IsRoot: &no} }, 1},
		"all have the same id":                {func(int) organization { return organization{ID: "root", IsRoot: &yes, Subs: []string{"sub"}} }, 1},
	} {
		all := make([]organization, n)
		for i := range all {
			all[i] = tt.make(i)
		}
		seq, read := counting(all)
		if got := trees(seq); len(got) != tt.trees || *read != 2*n {
			t.Errorf("%s: %d trees of %d reads, want %d of %d", what, len(got), *read, tt.trees, 2*n)
		}
	}
}

func TestRootIsTheFirstThatAnOrganizationNames(t *testing.T) {
	yes := true
	root := func(id string) organization { return organization{ID: id, IsRoot: &yes} }
	for what, tt := range map[string]struct {
		all  []organization
		want string
	}{
		"by its parent":                    {[]organization{root("a"), root("b"), {ID: "x", Parent: "b"}}, "b"},
		"by its parents":                   {[]organization{root("a"), root("b"), {ID: "x", Parents: []string{"c", "b"}}}, "b"},
		"the first that came of two":       {[]organization{root("a"), root("b"), {ID: "x", Parent: "b", Parents: []string{"b", "a"}}}, "a"},
		"one that comes after it":          {[]organization{{ID: "x", Parent: "b"}, root("b")}, "b"},
		"a single one that is not here":    {[]organization{root("a"), {ID: "x", Parents: []string{"c"}}}, "c"},
		"the first that came, named first": {[]organization{root("a"), root("b"), {ID: "x", Parent: "a", Parents: []string{"b"}}}, "a"},
		"a root that names no root":        {[]organization{root("a"), root("b"), {ID: "x", Parent: "b", Parents: []string{"a"}}}, "a"},
		"a root above a single parent":     {[]organization{root("a"), {ID: "x", Parent: "a", Parents: []string{"m"}}}, "a"},
		"no root, though it came too":      {[]organization{{ID: "m", Parent: "a"}, root("a"), {ID: "x", Parent: "m", Parents: []string{"m", "a"}}}, "a"},
		"what states nothing":              {[]organization{root("a"), {ID: "x"}}, "in no tree"},
		"not known":                        {[]organization{root("a"), {ID: "x", Parent: "c", Parents: []string{"c", "d"}}}, ""},
		"a nameless root is none":          {[]organization{root(""), {ID: "x", IsRoot: new(bool)}}, ""},
	} {
		found := "in no tree"
		seq, _ := counting(tt.all)
		for _, tree := range trees(seq) {
			for _, sub := range tree.Subs {
				if sub == "x" {
					found = tree.Root
				}
			}
		}
		if found != tt.want {
			t.Errorf("%s: below %q, want %q", what, found, tt.want)
		}
	}
}
