package regionmap

import (
	"errors"
	"sync/atomic"
)

// SearchCounts are how the searches of a [Discovery] ended since the start. What is remembered is no search.
type SearchCounts struct {
	Found     int64 // one region has the store, or the default is among several; all answered
	Partly    int64 // likewise, but some region gave no answer
	Nowhere   int64 // no region has it, or the token may not see it
	Ambiguous int64 // several have it
	Silent    int64 // it was not found, and some region gave no answer
	Busy      int64 // not begun, because as many as there may be were under way
}

// searchCounts are the numbers behind SearchCounts.
type searchCounts struct{ found, partly, nowhere, ambiguous, silent, busy atomic.Int64 }

// Counts returns a snapshot. The numbers are not of one instant.
func (d *Discovery) Counts() SearchCounts {
	n := &d.counts
	return SearchCounts{
		Found: n.found.Load(), Partly: n.partly.Load(), Nowhere: n.nowhere.Load(),
		Ambiguous: n.ambiguous.Load(), Silent: n.silent.Load(), Busy: n.busy.Load(),
	}
}

// landed counts how a search ended.
func (n *searchCounts) landed(o *outcome) {
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
