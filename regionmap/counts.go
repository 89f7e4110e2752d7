package regionmap

import (
	"errors"
	"sync/atomic"
)

// SearchCounts holds the results of a [Discovery]'s searches since the start. A
// remembered result is not a search.
type SearchCounts struct {
	Found     int64 // one region has the store, or the default region is among several; all regions answered
	Partly    int64 // like Found, but at least one region did not answer
	Nowhere   int64 // no region has the store, or the token may not see it
	Ambiguous int64 // several regions have the store
	Silent    int64 // the store was not found, and at least one region did not answer
	Busy      int64 // not begun, because MaxFlights searches were under way
}

// searchCounts are the numbers behind SearchCounts.
type searchCounts struct{ found, partly, nowhere, ambiguous, silent, busy atomic.Int64 }

// Counts returns the current numbers. They are not read at one instant.
func (d *Discovery) Counts() SearchCounts {
	n := &d.counts
	return SearchCounts{
		Found: n.found.Load(), Partly: n.partly.Load(), Nowhere: n.nowhere.Load(),
		Ambiguous: n.ambiguous.Load(), Silent: n.silent.Load(), Busy: n.busy.Load(),
	}
}

// ended counts the result of a search.
func (n *searchCounts) ended(o *outcome) {
	_, ambiguous := errors.AsType[*AmbiguousError](o.err)
	switch {
	case o.err == nil && o.partly:
		n.partly.Add(1)
	case o.err == nil:
		n.found.Add(1)
	case ambiguous:
		n.ambiguous.Add(1)
	case errors.Is(o.err, errNowhere):
		n.nowhere.Add(1)
	default:
		n.silent.Add(1)
	}
}
