package cache

import (
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"osgate/cache/httpcache"
)

// Stats is a snapshot of the cache's content and of its counts since it was made.
type Stats struct {
	Entries   int                  // stored now, including those that have expired since the last clean-up
	Bytes     int64                // the size of the entries, counted as for [Options].Bytes
	UnderWay  int64                // bytes of answers that are being received
	Hits      int64                // Looks answered
	Misses    int64                // Looks without a usable entry (fwd=miss, fwd=stale), followers included
	Stale     int64                // Hits served while the entry was fetched again
	Fallbacks int64                // Misses served from a stale entry because upstream failed
	Collapsed int64                // Misses answered by another request's fetch
	Requests  int64                // Looks that the client's header sent upstream
	Bypasses  int64                // Looks that did not use the cache for our own reasons
	Fills     int64                // answers stored
	Marks     int64                // writes announced
	Outcomes  [writeOutcomes]int64 // the Marks that have ended, by [WriteOutcome]
	Widened   int64                // the Marks with a lease on the whole store, because their client holds too many
	// Leases without room, so that all reads of their part of the store bypassed the
	// cache too.
	Settled   int64
	Held      int64 // leases of writes under way
	Kept      int64 // leases of ended writes, which run out by themselves
	Evictions int64 // entries dropped for room before they expired

	TTLsLearned int64 // stores whose TTL was fetched
	TTLsFailed  int64 // fetches that did not return a store's TTL

	SharedHits   int64       // Hits for which the entry of another replica was fetched
	SharedMisses int64       // searches in other replicas' entries that found no usable one, or got no answer
	Shared       SharedStats // of [Options].Shared
}

// Stats returns a snapshot. The numbers are not of one instant.
func (c *Cache) Stats() Stats {
	n := &c.counts
	stats := Stats{
		Entries: c.entries.EstimatedSize(), Bytes: int64(c.entries.WeightedSize()), UnderWay: c.underWay.Used(),
		Hits: n.hits.Load(), Misses: n.misses.Load(), Stale: n.stale.Load(),
		Fallbacks: n.fallbacks.Load(), Collapsed: n.collapsed.Load(),
		Requests: n.requests.Load(), Bypasses: n.bypasses.Load(),
		Fills: n.fills.Load(), Marks: n.marks.Load(), Evictions: n.evictions.Load(),
		TTLsLearned: n.ttlsLearned.Load(), TTLsFailed: n.ttlsFailed.Load(),
		SharedHits: n.sharedHits.Load(), SharedMisses: n.sharedMisses.Load(),
	}
	for outcome := range n.outcomes {
		stats.Outcomes[outcome] = n.outcomes[outcome].Load()
	}
	stats.Widened, stats.Settled = n.widened.Load(), c.options.Coherence.Settled()
	stats.Held, stats.Kept = c.holders.totals(time.Now())
	if c.options.Shared != nil {
		stats.Shared = c.options.Shared.Stats()
	}
	return stats
}

type counts struct {
	hits, misses, stale, fallbacks, collapsed, requests, bypasses, fills, marks, evictions,
	sharedHits, sharedMisses, widened atomic.Int64

	ttlsLearned, ttlsFailed atomic.Int64

	outcomes [writeOutcomes]atomic.Int64 // by WriteOutcome
}

func (n *counts) looked(r *Result) {
	switch {
	case r.Status.Hit:
		n.hits.Add(1)
		if r.Status.TTL <= 0 {
			n.stale.Add(1)
		}
	case r.Status.Forward == httpcache.ForwardRequest:
		n.requests.Add(1)
	case r.Status.Forward == httpcache.ForwardBypass:
		n.bypasses.Add(1)
	default:
		n.misses.Add(1)
	}
}

func (n *counts) deleted(e otter.DeletionEvent[digest, *Entry]) {
	if e.Cause == otter.CauseOverflow {
		n.evictions.Add(1)
	}
}
