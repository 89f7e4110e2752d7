package board

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"osgate/record"
)

// maxRegions is the maximum number of regions that are counted separately. Object Store
// has 12, and requests go only to known regions.
const maxRegions = 32

// RegionCount contains the counts of a region of Object Store in the last minute,
// including the current interval of five seconds.
type RegionCount struct {
	Plane, Region string
	Requests      int64     // exchanges sent to it, without those that the client left
	Failed        int64     // those that were unreachable, timed out, were cut off or were answered 5xx
	Failing       time.Time // end of the first failure since the last success; zero if the last request succeeded
	Latency       Quantiles // to the first byte of the answer
}

// region contains the counts of one region.
type region struct {
	plane, name string
	failing     time.Time
	intervals   intervals
}

// keepRegion counts x, which was sent upstream, for its region in second n.
func (b *Board) keepRegion(now time.Time, n int64, x *record.Exchange) {
	r := b.region(x.Plane, x.Region)
	if r == nil {
		return
	}
	failed := x.UpstreamProblem()
	switch {
	case !failed:
		r.failing = time.Time{}
	case r.failing.IsZero():
		r.failing = now
	}
	r.intervals.at(n/intervalSeconds).add(x.UpstreamDuration, failed)
}

// region returns the counts of a region, nil if there is no room for another one.
func (b *Board) region(plane, name string) *region {
	for _, r := range b.regions {
		if r.name == name && r.plane == plane {
			return r
		}
	}
	if len(b.regions) == maxRegions {
		return nil
	}
	r := &region{plane: strings.Clone(record.ShortName(plane)), name: strings.Clone(record.ShortName(name))}
	b.regions = append(b.regions, r)
	return r
}

// regionRows returns the regions with requests in the minute before second n, sorted by
// plane and name.
func (b *Board) regionRows(n int64) []RegionCount {
	rows := make([]RegionCount, 0, len(b.regions))
	for _, r := range b.regions {
		if sum := r.intervals.sum(n / intervalSeconds); sum.requests > 0 {
			rows = append(rows, RegionCount{r.plane, r.name, sum.requests, sum.failed, r.failing, quantiles(&sum.took)})
		}
	}
	slices.SortFunc(rows, func(x, y RegionCount) int {
		return cmp.Or(strings.Compare(x.Plane, y.Plane), strings.Compare(x.Region, y.Region))
	})
	return rows
}
