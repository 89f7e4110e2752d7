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
	dropped []*recent        // new names use them again
	compare func(a, b K) int // the order of names with equal counts
}

func newBusiest[K comparable](compare func(a, b K) int) busiest[K] {
	return busiest[K]{named: map[K]*recent{}, compare: compare}
}

// recent has the counts of one name for each second of the window.
type recent struct {
	requests [windowSeconds + 1]uint32
	special  [windowSeconds + 1]uint32 // a subset of requests: refused ones of a client, hits of a store
	missed   [windowSeconds + 1]uint32 // another subset: misses of a store
	newest   int64
	total    uint32     // the sum of requests
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
		r = b.fresh()
		r.newest = n
		b.named[intern(k)] = r
	}
	r.add(n, special)
	return r
}

// fresh returns counts that are zero.
func (b *busiest[K]) fresh() *recent {
	last := len(b.dropped) - 1
	if last < 0 {
		return new(recent)
	}
	r := b.dropped[last]
	b.dropped = b.dropped[:last]
	*r = recent{}
	return r
}

func (r *recent) add(n int64, special bool) {
	size := int64(len(r.requests))
	n = r.advance(n)
	r.requests[n%size]++
	r.total++
	if special {
		r.special[n%size]++
	}
}

// miss counts a counted request of second n as a miss.
func (r *recent) miss(n int64) { r.missed[r.advance(n)%int64(len(r.missed))]++ }

// advance makes n, or a later second that was counted, the newest one, and returns it.
func (r *recent) advance(n int64) int64 {
	size := int64(len(r.requests))
	n = max(n, r.newest)
	for from := max(r.newest+1, n-size+1); from <= n; from++ {
		r.total -= r.requests[from%size]
		r.requests[from%size], r.special[from%size], r.missed[from%size] = 0, 0, 0
	}
	r.newest = n
	return n
}

// window returns the requests of the last windowSeconds, now included. It takes the same
// time for any number of seconds.
func (r *recent) window(now int64) uint32 {
	size := int64(len(r.requests))
	oldest := r.advance(now) + 1 // one second more than the window, in its place
	return r.total - r.requests[oldest%size]
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

// misses returns the misses of the same seconds as sum.
func (r *recent) misses(now int64) (misses int64) {
	size := int64(len(r.missed))
	for n := max(0, now-windowSeconds, r.newest-size+1); n < min(now, r.newest+1); n++ {
		misses += int64(r.missed[n%size])
	}
	return misses
}

// prune drops names until half of the room is free. It includes the current second;
// otherwise all names that are new in this second would have equal counts. With more
// busy names than room it runs for every few hundred exchanges: it sorts numbers only,
// and of names with the same count at the bound it keeps any.
func (b *busiest[K]) prune(now int64) {
	counts := make([]uint32, 0, maxNamed)
	for _, r := range b.named {
		counts = append(counts, r.window(now))
	}
	slices.Sort(counts)
	least := max(1, counts[len(counts)-maxNamed/2])
	more, _ := slices.BinarySearch(counts, least+1) // the index of the first count above least
	equal := maxNamed/2 - (len(counts) - more)      // how many names with that count are kept
	for k, r := range b.named {
		n := r.window(now)
		if n == least {
			equal--
		}
		if n < least || n == least && equal < 0 {
			delete(b.named, k)
			b.dropped = append(b.dropped, r)
		}
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
