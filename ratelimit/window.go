package ratelimit

import "time"

// window is a sliding log: the instants at which a key took its latest units, the
// oldest first, in a ring that grows up to the quota's rate. Instants are nanoseconds
// on any scale that does not run backwards. The zero value is empty.
type window struct {
	ring  []int64
	first int   // index of the oldest
	size  int   // number of instants
	free  int64 // when the latest leaves the window, and all may be forgotten
}

func (w *window) expiry() int64 { return w.free }

// take decides about one unit at the instant now. q is normal, limited and always the
// same except for its rate.
//
// A unit is admitted if fewer than Rate units were taken within the last Period. So a
// unit after the last of Rate must wait for the one that was taken Rate units before
// it.
func (w *window) take(now int64, q Quota) Result {
	for w.size > 0 && w.at(0) <= now-int64(q.Period) {
		w.first = (w.first + 1) % len(w.ring)
		w.size--
	}
	r := Result{Limit: q.Rate}
	if w.size < q.Rate {
		r.Allowed = true
		w.push(now, q.Rate)
		w.free = now + int64(q.Period)
		r.Remaining = q.Rate - w.size
	}
	r.MoreAfter = time.Duration(w.at(max(w.size-q.Rate, 0)) + int64(q.Period) - now)
	if r.Remaining == 0 {
		r.RetryAfter = r.MoreAfter
	}
	r.ResetAfter = time.Duration(w.free - now)
	return r
}

// at returns the ith instant from the oldest, which is 0.
func (w *window) at(i int) int64 { return w.ring[(w.first+i)%len(w.ring)] }

// push appends an instant. A full ring is doubled, to the length most
// at the longest.
func (w *window) push(now int64, most int) {
	if w.size == len(w.ring) {
		larger := make([]int64, min(max(2*w.size, 4), most))
		for i := range w.size {
			larger[i] = w.at(i)
		}
		w.ring, w.first = larger, 0
	}
	w.ring[(w.first+w.size)%len(w.ring)] = now
	w.size++
}
