// Package recent holds a bounded map that drops the entries that have not been used for
// the longest time.
package recent

// Map drops the entries that have not been used for the longest time. It has two halves
// and drops the older one when the younger one is full. So it holds between limit and
// 2·limit entries and needs no list and no sweep. Create it with [New]. It is not safe
// for concurrent use.
type Map[K comparable, V any] struct {
	limit      int
	young, old map[K]V
}

// New returns an empty Map.
func New[K comparable, V any](limit int) Map[K, V] {
	return Map[K, V]{limit: limit, young: map[K]V{}}
}

// Get returns the value of k and marks it as used.
func (m *Map[K, V]) Get(k K) (V, bool) {
	if v, ok := m.young[k]; ok {
		return v, true
	}
	v, ok := m.old[k]
	if ok {
		m.Put(k, v)
	}
	return v, ok
}

// Put sets the value of k and marks it as used.
func (m *Map[K, V]) Put(k K, v V) {
	if _, ok := m.young[k]; !ok && len(m.young) >= m.limit {
		m.old, m.young = m.young, make(map[K]V, m.limit)
	}
	m.young[k] = v
}

// Age drops the entries that were not used since the last call of Age. A caller that
// calls it now and then keeps only the entries in use, although the map has room.
func (m *Map[K, V]) Age() { m.old, m.young = m.young, make(map[K]V, min(len(m.young), m.limit)) }

// Len returns the number of values; one that was used again may count twice.
func (m *Map[K, V]) Len() int { return len(m.young) + len(m.old) }
