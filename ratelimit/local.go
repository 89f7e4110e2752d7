package ratelimit

import (
	"context"
	"time"
)

// LocalOptions configures a [Local].
type LocalOptions struct {
	// MaxKeys bounds the keys remembered for each algorithm. Zero means 65,536. A key
	// takes about 100 bytes with GCRA; with a window 200, and 8 for each unit that it
	// took within one Period, rounded up to a power of two but no more than the Rate:
	// 18 MB for 65,536 keys at 10 a second, 0.5 GB at 1,000 a second.
	MaxKeys int
}

// Local is a [Limiter] for this process only: exact to the nanosecond, by the process's
// monotonic clock.
//
// It remembers a key until its whole burst (or window) is available again. If more than
// MaxKeys keys are remembered, each new key replaces one of those closest to that time,
// which then has its whole burst at once.
type Local struct {
	start    time.Time
	arrivals *table[arrival] // of keys with GCRA
	windows  *table[*window] // of keys with a window
}

var _ Limiter = (*Local)(nil)

// arrival is a theoretical arrival time, in nanoseconds since the start of Local. At
// that instant the key has its whole burst again.
type arrival int64

func (a arrival) expiry() int64 { return int64(a) }

// NewLocal returns a Local from which no unit has been taken.
func NewLocal(o LocalOptions) *Local {
	return &Local{start: time.Now(), arrivals: newTable[arrival](o.MaxKeys), windows: newTable[*window](o.MaxKeys)}
}

// Take implements [Limiter]. Its error is nil, also if ctx has ended.
func (l *Local) Take(_ context.Context, key string, q Quota) (Result, error) {
	if q.unlimited() {
		return Result{Allowed: true}, nil
	}
	if q = q.normal(); q.Algorithm == AlgorithmWindow {
		return l.takeWindow(key, q), nil
	}
	s := l.arrivals.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := int64(time.Since(l.start)) // under the lock, so that it never runs backwards for a key
	tat, result := step(int64(s.entries[key]), now, q)
	if result.Allowed {
		s.put(key, arrival(tat), now)
	}
	return result, nil
}

func (l *Local) takeWindow(key string, q Quota) Result {
	s := l.windows.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := int64(time.Since(l.start))
	w, ok := s.entries[key]
	if !ok {
		w = &window{}
		s.put(key, w, now)
	}
	return w.take(now, q)
}

// horizon bounds the time of a burst, 36 years, so that instants never overflow.
const horizon = time.Duration(1) << 60

// step is the generic cell rate algorithm (ITU-T I.371, virtual scheduling). It decides
// about one unit at the instant now, given the theoretical arrival time (TAT), and
// returns the new TAT. Instants are nanoseconds on any scale that does not run
// backwards; q is normal and limited.
//
// The TAT is the time at which the whole burst would be available again. A unit is
// admitted if it arrives no earlier than the burst tolerance before the TAT, and
// increases the TAT by the emission interval.
func step(tat, now int64, q Quota) (newTAT int64, r Result) {
	interval := int64(min(q.interval(), horizon))
	tolerance := int64(min(times(time.Duration(interval), q.Burst-1), horizon))
	tat = max(tat, now)
	r = Result{Limit: q.Rate}
	if early := tat - tolerance - now; early > 0 {
		r.RetryAfter, r.MoreAfter = time.Duration(early), time.Duration(early)
		r.ResetAfter = time.Duration(tat - now)
		return tat, r
	}
	tat += interval
	r.Allowed = true
	r.ResetAfter = time.Duration(tat - now)
	room := tolerance + interval - (tat - now)
	r.Remaining = int(room / interval)
	r.MoreAfter = time.Duration(interval - room%interval)
	if r.Remaining == 0 {
		r.RetryAfter = r.MoreAfter
	}
	return tat, r
}

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
