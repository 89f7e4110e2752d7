package broker

import (
	"cmp"
	"slices"
	"time"
)

// Place is an environment of an organization, as a request names it.
type Place struct{ Organization, Environment string }

// maxForbidden limits the environments of a plane that are remembered: clients choose
// the names.
const maxForbidden = 8

// places are the environments in which upstream refused an operation, with the time of
// the last refusal. The zero value is empty. The lock of Tokens guards it.
type places struct{ refused map[Place]time.Time }

// add remembers at, and reports whether it was unknown. If there are too many, it does
// nothing.
func (s *places) add(at Place, now time.Time) bool {
	_, known := s.refused[at]
	if !known && len(s.refused) >= maxForbidden {
		return false
	}
	if s.refused == nil {
		s.refused = map[Place]time.Time{}
	}
	s.refused[at] = now
	return !known
}

// list returns the environments whose time is not over, sorted.
func (s *places) list(now time.Time) (all []Place) {
	for at, last := range s.refused {
		if now.Sub(last) < forbiddenFor {
			all = append(all, at)
		}
	}
	slices.SortFunc(all, func(x, y Place) int {
		return cmp.Or(cmp.Compare(x.Organization, y.Organization), cmp.Compare(x.Environment, y.Environment))
	})
	return all
}

// sweep forgets the environments whose time is over.
func (s *places) sweep(now time.Time) {
	for at, last := range s.refused {
		if now.Sub(last) >= forbiddenFor {
			delete(s.refused, at)
		}
	}
}

// end returns when the time of the first environment is over; false if there is none.
func (s *places) end() (earliest time.Time, ok bool) {
	for _, last := range s.refused {
		if end := last.Add(forbiddenFor); !ok || end.Before(earliest) {
			earliest, ok = end, true
		}
	}
	return earliest, ok
}
