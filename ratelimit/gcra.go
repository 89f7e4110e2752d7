package ratelimit

import "time"

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
