package e2e

import (
	"net/http"
	"strings"
	"sync"
	"time"
)

// excuse is what is documented to be stale by default: what other gateways answer from
// cache while one that writes has no Redis. It is safe for concurrent use.
type excuse struct {
	granted bool // to this history; a strict one has none

	mu   sync.Mutex
	lost *replica // guarded by mu: the gateway without Redis, or everyone; nil: all have it
	n    int      // guarded by mu: how often that has changed
}

// everyone is without Redis: to each gateway the other ones are.
var everyone = &replica{}

// begin begins a time in which a gateway is without Redis, or everyone.
func (e *excuse) begin(lost *replica) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lost = lost
	e.n++
}

// end ends it when these gateways have made up for their writes, before which they answer
// nothing from cache.
func (e *excuse) end(back ...*replica) {
	for deadline := time.Now().Add(patience); !allHit(back) && time.Now().Before(deadline); {
		pause(10 * time.Millisecond)
	}
	e.begin(nil)
}

func allHit(replicas []*replica) bool {
	for _, r := range replicas {
		if a, err := r.caller().try(http.MethodGet, keyOne, ""); err != nil || !hit(a) {
			return false
		}
	}
	return true
}

// asking is to be called before a request through r. What it returns reports, of the
// answer, whether it may be stale.
func (e *excuse) asking(r *replica) (stale func(*answer) bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	before, lost := e.n, e.lost
	return func(a *answer) bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		overlaps := lost != nil && lost != r || e.n != before && e.lost != r
		return e.granted && overlaps && cached(a)
	}
}

// cached reports whether an answer is not of a fetch that was begun for it.
func cached(a *answer) bool {
	status := a.header.Get("Cache-Status")
	return hit(a) || strings.Contains(status, "collapsed")
}
