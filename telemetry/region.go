package telemetry

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"osgate/record"
)

// maxRegions bounds how many regions are counted apart: Object Store has 12, and what is in no list of ours is not sent anywhere.
const maxRegions = 32

// RegionCount is how a region of Object Store did within the last minute, the five seconds that are running included.
type RegionCount struct {
	Plane, Region string
	Requests      int64     // exchanges for which it was asked; those that a client left are not among them
	Failed        int64     // of those: unreachable, late, cut off or answered 5xx
	Failing       time.Time // when the first of the failures ended after which nothing succeeded; zero where the last one succeeded
	Latency       Quantiles // to the answer's first byte
}

// region is what is known of one region.
type region struct {
	plane, name string
	failing     time.Time
	spells      spells
}

// keepRegion counts x, which was sent upstream, for its region in second n.
func (b *Board) keepRegion(now time.Time, n int64, x *record.Exchange) {
	r := b.region(x.Plane, x.Region)
	if r == nil {
		return
	}
	failed := upstreamTrouble(x)
	switch {
	case !failed:
		r.failing = time.Time{}
	case r.failing.IsZero():
		r.failing = now
	}
	r.spells.at(n/slotSeconds).add(x.UpstreamDuration, failed)
}

// region returns what is known of a region, nil where no more fit.
func (b *Board) region(plane, name string) *region {
	for _, r := range b.regions {
		if r.name == name && r.plane == plane {
			return r
		}
	}
	if len(b.regions) == maxRegions {
		return nil
	}
	r := &region{plane: strings.Clone(short(plane)), name: strings.Clone(short(name))}
	b.regions = append(b.regions, r)
	return r
}

// regionRows returns the regions that were asked within the minute before second n, by plane and name.
func (b *Board) regionRows(n int64) []RegionCount {
	rows := make([]RegionCount, 0, len(b.regions))
	for _, r := range b.regions {
		if sum := r.spells.sum(n / slotSeconds); sum.asked > 0 {
			rows = append(rows, RegionCount{r.plane, r.name, sum.asked, sum.failed, r.failing, quantiles(&sum.took)})
		}
	}
	slices.SortFunc(rows, func(x, y RegionCount) int {
		return cmp.Or(strings.Compare(x.Plane, y.Plane), strings.Compare(x.Region, y.Region))
	})
	return rows
}
