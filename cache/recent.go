package cache

// recent is a bounded map that drops the entries that have not been used for the
// longest time. It has two halves and drops the older one when the younger one is full.
// So it holds between limit and 2·limit entries and needs no list and no sweep. It is
// not safe for concurrent use.
type recent[K comparable, V any] struct {
	limit      int
	young, old map[K]V
}

func newRecent[K comparable, V any](limit int) recent[K, V] {
	return recent[K, V]{limit: limit, young: map[K]V{}}
}

// get returns the value of k and marks it as used.
func (r *recent[K, V]) get(k K) (V, bool) {
	if v, ok := r.young[k]; ok {
		return v, true
	}
	v, ok := r.old[k]
	if ok {
		r.put(k, v)
	}
	return v, ok
}

func (r *recent[K, V]) put(k K, v V) {
	if _, ok := r.young[k]; !ok && len(r.young) >= r.limit {
		r.old, r.young = r.young, make(map[K]V, r.limit)
	}
	r.young[k] = v
}

// len returns the number of values; one that was used again may count twice.
func (r *recent[K, V]) len() int { return len(r.young) + len(r.old) }
