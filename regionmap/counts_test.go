package regionmap_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"osgate/regionmap"
)

func TestEverySearchIsCountedByItsEnd(t *testing.T) {
	partly := has(ohio)
	partly[east] = answers{east: {err: errSilent}}[east]
	for name, tt := range map[string]struct {
		answers answers
		want    regionmap.SearchCounts
	}{
		"found":     {has(ohio), regionmap.SearchCounts{Found: 1}},
		"partly":    {partly, regionmap.SearchCounts{Partly: 1}},
		"nowhere":   {nil, regionmap.SearchCounts{Nowhere: 1}},
		"ambiguous": {has(east, west), regionmap.SearchCounts{Ambiguous: 1}},
		"silent":    {answers{east: {err: errSilent}}, regionmap.SearchCounts{Silent: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDiscovery(t, threeRegions, regionmap.DiscoveryOptions{})
			p := newProber(tt.answers)
			for range 3 { // a remembered result is not a search
				_, _ = d.Find(t.Context(), "us", store, "one", p.probe)
			}
			if diff := cmp.Diff(tt.want, d.Counts()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSearchesThatFindNoRoomAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDiscovery(t, threeRegions, regionmap.DiscoveryOptions{MaxFlights: 1})
		p := newProber(has(ohio))
		p.delay = time.Second
		other := store
		other.Store = "other"
		go func() { _, _ = d.Find(t.Context(), "us", store, "one", p.probe) }()
		synctest.Wait()
		_, _ = d.Find(t.Context(), "us", other, "one", p.probe)
		<-time.After(2 * time.Second)
		if diff := cmp.Diff(regionmap.SearchCounts{Found: 1, Busy: 1}, d.Counts()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
