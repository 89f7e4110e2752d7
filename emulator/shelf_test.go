package emulator

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A shelf is compared with a slice in order of insertion.
func TestShelfListsWhatIsThereInBothOrders(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newShelf[int]()
		var model []string
		things := map[string]int{}
		for i := range rapid.IntRange(1, 80).Draw(rt, "steps") {
			name := fmt.Sprintf("%s%d", rapid.SampledFrom([]string{"a", "b", "ab"}).Draw(rt, "prefix"), rapid.IntRange(0, 12).Draw(rt, "number"))
			_, there := things[name]
			if rapid.Bool().Draw(rt, "remove") {
				if s.remove(name) != there {
					rt.Fatalf("remove(%s): want %v", name, there)
				}
				model = slices.DeleteFunc(model, func(n string) bool { return n == name })
				delete(things, name)
				continue
			}
			s.put(name, i)
			things[name] = i
			if !there {
				model = append(model, name)
			}
		}
		if s.len() != len(model) {
			rt.Fatalf("len is %d, want %d", s.len(), len(model))
		}
		for _, l := range []listing{{}, {byName: true}, {prefix: "a"}, {prefix: "ab1"}, {prefix: "c"}} {
			want := slices.DeleteFunc(slices.Clone(model), func(n string) bool { return !strings.HasPrefix(n, l.prefix) })
			if l.byName || l.prefix != "" {
				sort.Strings(want)
			}
			l.limit = rapid.IntRange(1, 5).Draw(rt, "limit")
			if got := pages(s, l, things, rt); !slices.Equal(got, want) {
				rt.Fatalf("%+v: the page is %v, want %v", l, got, want)
			}
		}
	})
}

// pages reads a listing to its end.
func pages(s *shelf[int], l listing, things map[string]int, rt *rapid.T) (names []string) {
	for {
		page, more := s.page(l, func(*slot[int]) bool { return true })
		for _, found := range page {
			if found.thing != things[found.name] {
				rt.Fatalf("%s has %d, want %d", found.name, found.thing, things[found.name])
			}
			names = append(names, found.name)
		}
		if !more {
			return names
		}
		last := page[len(page)-1]
		l.from = mark{last.name, last.age}
	}
}

// Removed slots are released at some time.
func TestShelfForgetsWhatIsRemoved(t *testing.T) {
	s := newShelf[int]()
	for i := range 100_000 {
		s.put(fmt.Sprint(i), i)
		s.remove(fmt.Sprint(i))
	}
	if len(s.byAge) > 4 || s.len() != 0 {
		t.Errorf("%d slots are kept for %d items", len(s.byAge), s.len())
	}
}
