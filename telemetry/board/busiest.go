package board

import (
	"cmp"
	"slices"
	"time"
)

const (
	maxNamed = 512 // names that are counted at the same time
	topNamed = 50  // names in a snapshot
)

// busiest counts requests by name over the window, for a limited number of names. If
// there is no room for a new name, it drops names without requests in the window, and
// if necessary the half with the fewest requests. A busy name is added again with its
// next exchange. It is not safe for concurrent use.
type busiest[K comparable] struct {
	named   map[K]*recent
	compare func(a, b K) int // the order of names with equal counts
}

func newBusiest[K comparable](compare func(a, b K) int) busiest[K] {
	return busiest[K]{named: map[K]*recent{}, compare: compare}
}

// recent has the counts of one name for each second of the window.
type recent struct {
	requests [windowSeconds + 1]uint32
	special  [windowSeconds + 1]uint32 // a subset of requests: refused ones of a client, hits of a store
	newest   int64
	quota    quotaState // for clients
	trail    *trail     // for clients and stores
}

// trailSince returns r's trail; a new one begins at now.
func (r *recent) trailSince(now time.Time) *trail {
	if r.trail == nil {
		r.trail = &trail{first: now}
	}
	return r.trail
}

// row is a name with its sums.
type row[K comparable] struct {
	key               K
	recent            *recent
	requests, special int64
}

// add counts one request of k in second n and returns k's counts. intern returns a copy
// of k that retains no other memory; it is called if k is new.
func (b *busiest[K]) add(k K, n int64, special bool, intern func(K) K) *recent {
	r := b.named[k]
	if r == nil {
		if len(b.named) >= maxNamed {
			b.prune(n)
		}
		r = &recent{newest: n}
		b.named[intern(k)] = r
	}
	r.add(n, special)
	return r
}

func (r *recent) add(n int64, special bool) {
	size := int64(len(r.requests))
	n = max(n, r.newest)
	for from := max(r.newest+1, n-size+1); from <= n; from++ {
		r.requests[from%size], r.special[from%size] = 0, 0
	}
	r.newest = n
	r.requests[n%size]++
	if special {
		r.special[n%size]++
	}
}

// sum returns the sums of the complete seconds of the window before now.
func (r *recent) sum(now int64) (requests, special int64) {
	size := int64(len(r.requests))
	for n := max(0, now-windowSeconds, r.newest-size+1); n < min(now, r.newest+1); n++ {
		requests += int64(r.requests[n%size])
		special += int64(r.special[n%size])
	}
	return requests, special
}

// prune drops names until half of the room is free. It includes the current second;
// otherwise all names that are new in this second would have equal counts.
func (b *busiest[K]) prune(now int64) {
	rows := b.rows(now + 1)
	clear(b.named)
	for _, r := range rows[:min(len(rows), maxNamed/2)] {
		b.named[r.key] = r.recent
	}
}

// rows returns the names with requests in the window before now, the largest counts
// first.
func (b *busiest[K]) rows(now int64) []row[K] {
	rows := make([]row[K], 0, len(b.named))
	for k, r := range b.named {
		if requests, special := r.sum(now); requests > 0 {
			rows = append(rows, row[K]{k, r, requests, special})
		}
	}
	slices.SortFunc(rows, func(x, y row[K]) int {
		return cmp.Or(cmp.Compare(y.requests, x.requests), b.compare(x.key, y.key))
	})
	return rows
}
