package e2e

import (
	"net/http"
	"strings"
	"sync"
	"time"
)

// staleness records the times in which responses may be stale as documented for the
// default settings: hits of other gateways while a gateway that writes has no Redis. It
// is safe for concurrent use.
type staleness struct {
	allowed bool // used by this history; a strict history has none

	mu           sync.Mutex
	withoutRedis *replica // guarded by mu: the gateway without Redis, or all of them; nil: all have Redis
	changes      int      // guarded by mu: number of changes
}

// allReplicas means all gateways: for each gateway the others are without Redis.
var allReplicas = &replica{}

// begin begins a time in which a gateway, or all of them, are without Redis.
func (e *staleness) begin(lost *replica) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.withoutRedis = lost
	e.changes++
}

// end ends such a time when these gateways have marked their unmarked writes. Before
// that they serve no entry of the cache.
func (e *staleness) end(back ...*replica) {
	for deadline := time.Now().Add(testTimeout); !allHit(back) && time.Now().Before(deadline); {
		pause(10 * time.Millisecond)
	}
	e.begin(nil)
}

func allHit(replicas []*replica) bool {
	for _, r := range replicas {
		if a, err := r.client().try(http.MethodGet, keyOne, ""); err != nil || !isHit(a) {
			return false
		}
	}
	return true
}

// beforeRequest is called before a request through r. It returns a function that
// reports whether the response may be stale.
func (e *staleness) beforeRequest(r *replica) (stale func(*answer) bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	before, lost := e.changes, e.withoutRedis
	return func(a *answer) bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		overlaps := lost != nil && lost != r || e.changes != before && e.withoutRedis != r
		return e.allowed && overlaps && isCachedOrCollapsed(a)
	}
}

// isCachedOrCollapsed reports whether a response is from the cache, or from a fetch of
// another request.
func isCachedOrCollapsed(a *answer) bool {
	status := a.header.Get("Cache-Status")
	return isHit(a) || strings.Contains(status, "collapsed")
}
