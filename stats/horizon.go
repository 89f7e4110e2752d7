package stats

import "time"

// horizonStep is the time by which one hour with counts may move a horizon.
const horizonStep = 24 * time.Hour

// horizon is the hour from which a store computes retention if its counts are the only
// clock: the latest hour with counts, except an hour more than a step ahead of it. Each
// such hour moves the horizon by one step only, so that a clock that is wrong for a
// while costs days of counts and not all of them. After a long pause the horizon
// catches up in as many hours. The zero value knows no hour.
type horizon struct {
	at   time.Time
	leap time.Time // the hour too far ahead that moved it last; zero if the last hour was not too far ahead
}

// advance adds the latest hour of a batch and reports whether h has moved.
func (h *horizon) advance(latest time.Time) bool {
	before := h.at
	switch {
	case h.at.IsZero():
		h.at = latest
	case !latest.After(h.at.Add(horizonStep)):
		h.leap = time.Time{}
		if latest.After(h.at) {
			h.at = latest
		}
	case latest.After(h.leap):
		h.at = h.at.Add(horizonStep)
		h.leap = latest
	}
	return !h.at.Equal(before)
}
