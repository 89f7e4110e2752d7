package emulator

import (
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// A shelf contains named items in two orders: by name and by the time of their first
// insertion. A page starts at any mark in logarithmic time, even if the item at that
// mark no longer exists, so that pages stay cheap and page tokens stay valid for a
// shelf of any length and after any changes between two pages.
//
// It is not safe for concurrent use.
type shelf[T any] struct {
	head  tower[T]
	count int
	byAge []*slot[T] // ascending; removed slots stay until half of them are removed
	gone  int
	next  uint64 // age of the next slot
}

// slot is one item of a shelf.
type slot[T any] struct {
	name    string
	age     uint64
	removed bool
	thing   T
}

// tower is a node of the skip list that keeps the order of names.
type tower[T any] struct {
	slot *slot[T]
	next []*tower[T]
}

// mark is a position on a shelf: directly after the slot of this name and age. The zero
// mark is the beginning.
type mark struct {
	name string
	age  uint64
}

const maxHeight = 16 // 4^16 names

// newShelf returns an empty shelf. Its ages begin at the time of day, so that they are
// above those of any shelf that it replaces, in this run or an earlier one.
func newShelf[T any]() *shelf[T] {
	return &shelf[T]{head: tower[T]{next: make([]*tower[T], maxHeight)}, next: uint64(time.Now().UnixMicro())}
}

func (s *shelf[T]) len() int { return s.count }

// before stores the last tower with a name before the given one in path, for each
// height. It returns the first tower with this name or a later one, nil if there is
// none.
func (s *shelf[T]) before(name string, path *[maxHeight]*tower[T]) *tower[T] {
	at := &s.head
	for h := maxHeight - 1; h >= 0; h-- {
		for at.next[h] != nil && at.next[h].slot.name < name {
			at = at.next[h]
		}
		path[h] = at
	}
	return at.next[0]
}

// slot returns the slot of a name, or nil.
func (s *shelf[T]) slot(name string) *slot[T] {
	var path [maxHeight]*tower[T]
	if t := s.before(name, &path); t != nil && t.slot.name == name {
		return t.slot
	}
	return nil
}

// get returns the item of a name.
func (s *shelf[T]) get(name string) (thing T, ok bool) {
	if found := s.slot(name); found != nil {
		return found.thing, true
	}
	return thing, false
}

// put sets the item of a name. An existing name keeps its place.
func (s *shelf[T]) put(name string, thing T) { s.putAt(name, thing, s.next) }

// putAt is put for an item of a certain age, which must be above that of all slots.
func (s *shelf[T]) putAt(name string, thing T, age uint64) {
	var path [maxHeight]*tower[T]
	if t := s.before(name, &path); t != nil && t.slot.name == name {
		t.slot.thing = thing
		return
	}
	name = strings.Clone(name) // it may be part of a whole request target
	// One tower in four is one higher than the rest.
	height := min(1+bits.TrailingZeros64(rand.Uint64())/2, maxHeight) //nolint:gosec // no secret
	t := &tower[T]{slot: &slot[T]{name: name, age: age, thing: thing}, next: make([]*tower[T], height)}
	for h := range height {
		t.next[h] = path[h].next[h]
		path[h].next[h] = t
	}
	s.byAge = append(s.byAge, t.slot)
	s.next = max(s.next, age+1)
	s.count++
}

// remove removes a name from the shelf and reports whether it existed.
func (s *shelf[T]) remove(name string) bool {
	var path [maxHeight]*tower[T]
	t := s.before(name, &path)
	if t == nil || t.slot.name != name {
		return false
	}
	for h := range t.next {
		path[h].next[h] = t.next[h]
	}
	var none T
	t.slot.removed, t.slot.thing = true, none
	s.count--
	s.gone++
	if s.gone > len(s.byAge)/2 {
		s.byAge = slices.DeleteFunc(s.byAge, func(l *slot[T]) bool { return l.removed })
		s.gone = 0
	}
	return true
}

// each visits all slots by age until visit returns false. The shelf must not change
// during the visits.
func (s *shelf[T]) each(visit func(*slot[T]) bool) {
	s.eachByAge(mark{}, visit)
}

func (s *shelf[T]) eachByAge(from mark, visit func(*slot[T]) bool) {
	first, _ := slices.BinarySearchFunc(s.byAge, from.age+1, func(l *slot[T], age uint64) int {
		if l.age < age {
			return -1
		}
		return 1 // never equal: finds the first that is not below
	})
	for _, l := range s.byAge[first:] {
		if !l.removed && !visit(l) {
			return
		}
	}
}

func (s *shelf[T]) eachByName(from mark, prefix string, visit func(*slot[T]) bool) {
	var path [maxHeight]*tower[T]
	for t := s.before(max(from.name, prefix), &path); t != nil &&
		strings.HasPrefix(t.slot.name, prefix); t = t.next[0] {
		if t.slot.name == from.name && from.age != 0 {
			continue
		}
		if !visit(t.slot) {
			return
		}
	}
}

// listing defines the part of a shelf to list.
type listing struct {
	from   mark
	prefix string
	byName bool
	limit  int
}

// page returns up to l.limit slots for which alive returns true, and whether more
// follow. A list by prefix is sorted by name: otherwise it would need a search through
// the whole shelf.
func (s *shelf[T]) page(l listing, alive func(*slot[T]) bool) (page []*slot[T], more bool) {
	visit := func(found *slot[T]) bool {
		if !alive(found) {
			return true
		}
		if len(page) == l.limit {
			more = true
			return false
		}
		page = append(page, found)
		return true
	}
	if l.byName || l.prefix != "" {
		s.eachByName(l.from, l.prefix, visit)
	} else {
		s.eachByAge(l.from, visit)
	}
	return page, more
}
