package cache

// recent is a bounded map that forgets what has not been used for long: two halves, of which the older is dropped whole when the younger
// is full, so that it holds between limit and 2·limit entries and costs no list and no sweep. Not safe for concurrent use.
type recent[K comparable, V any] struct {
	limit      int
	young, old map[K]V
}

func newRecent[K comparable, V any](limit int) recent[K, V] {
	return recent[K, V]{limit: limit, young: map[K]V{}}
}

// get returns the value of k and keeps it from being forgotten.
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

// len is how many values are held; one that was renewed counts twice for a while.
func (r *recent[K, V]) len() int { return len(r.young) + len(r.old) }
