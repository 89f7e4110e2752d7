package coherence

import (
	"fmt"
	"slices"
)

// event is a client's view of an operation: the request, or the answer with its value.
type event struct {
	kind  eventKind
	op    int
	value uint8
}

type eventKind uint8

const (
	unseen eventKind = iota
	asked
	answered
	refused // it had no effect and never will
)

// possibility is one linearization so far: the value, and the answer that each
// operation may still get.
type possibility struct {
	value uint8
	ops   [writers + readers]uint8 // opNone, opAsked, or opDone and its value
}

const (
	opNone = iota
	opAsked
	opDone
)

// monitor keeps, for each history that occurred, all linearizations that are possible.
type monitor struct {
	sets  [][]possibility
	known map[string]int32
	memo  map[monitorStep]int32
}

type monitorStep struct {
	from int32
	e    event
}

func newMonitor() *monitor {
	m := &monitor{known: map[string]int32{}, memo: map[monitorStep]int32{}}
	m.intern(map[possibility]bool{{}: true})
	return m
}

func (m *monitor) intern(set map[possibility]bool) int32 {
	list := make([]possibility, 0, len(set))
	for p := range set {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b possibility) int {
		return slices.Compare(append(a.ops[:], a.value), append(b.ops[:], b.value))
	})
	name := fmt.Sprint(list)
	if id, ok := m.known[name]; ok {
		return id
	}
	m.known[name] = int32(len(m.sets))
	m.sets = append(m.sets, list)
	return int32(len(m.sets)) - 1
}

// next returns the state after e, -1 if no linearization is left.
func (m *monitor) next(from int32, e event) int32 {
	if e.kind == unseen {
		return from
	}
	step := monitorStep{from, e}
	if to, ok := m.memo[step]; ok {
		return to
	}
	after := map[possibility]bool{}
	for _, p := range m.sets[from] {
		if e.kind == asked {
			p.ops[e.op] = opAsked
			after[p] = true
			continue
		}
		if e.kind == refused {
			if p.ops[e.op] == opAsked {
				p.ops[e.op] = opNone
				after[p] = true
			}
			continue
		}
		m.linearize(p, func(p possibility) {
			if p.ops[e.op] == opDone+e.value {
				p.ops[e.op] = opNone
				after[p] = true
			}
		})
	}
	to := int32(-1)
	if len(after) > 0 {
		to = m.intern(after)
	}
	m.memo[step] = to
	return to
}

// linearize calls f with p and with all possibilities that follow if operations under
// way take effect now, in any order. An operation that has taken effect keeps its
// answer until it is given.
func (m *monitor) linearize(p possibility, f func(possibility)) {
	f(p)
	for op, state := range p.ops {
		if state != opAsked {
			continue
		}
		next := p
		next.ops[op] = opDone
		if op < writers {
			next.value = uint8(op + 1)
		} else {
			next.ops[op] += p.value
		}
		m.linearize(next, f)
	}
}
