package stats

import "time"

// horizonStep is by how much one hour that is counted in may move a horizon.
const horizonStep = 24 * time.Hour

// horizon is the hour that a store whose counts bring their own clock reckons retention from: the latest counted in, but for one that is more than a
// step ahead of what was known. Each such hour moves it by a step only, so that a clock that is wrong for a while costs days, not
// everything; after a long rest it catches up in as many hours. The zero value knows of no hour.
type horizon struct {
	at   time.Time
	leap time.Time // the hour too far ahead that moved it last; zero where the last was not
}

// advance tells of the latest hour of a batch and reports whether h has moved.
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
