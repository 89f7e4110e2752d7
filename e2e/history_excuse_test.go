package e2e

import (
	"net/http"
	"strings"
	"sync"
	"time"
)

// excuse records the times in which responses may be stale as documented for the
// default settings: hits of other gateways while a gateway that writes has no Redis. It
// is safe for concurrent use.
type excuse struct {
	granted bool // to this history; a strict one has none

	mu   sync.Mutex
	lost *replica // guarded by mu: the gateway without Redis, or everyone; nil: all have it
	n    int      // guarded by mu: how often that has changed
}

// everyone stands for all gateways: for each gateway the others are without Redis.
var everyone = &replica{}

// begin begins a time in which a gateway, or everyone, is without Redis.
func (e *excuse) begin(lost *replica) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lost = lost
	e.n++
}

// end ends such a time when these gateways have marked their unmarked writes. Before
// that they serve nothing from the cache.
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

// asking is called before a request through r. It returns a function that reports
// whether the response may be stale.
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

// cached reports whether a response is from the cache, or from a fetch that another
// request began.
func cached(a *answer) bool {
	status := a.header.Get("Cache-Status")
	return hit(a) || strings.Contains(status, "collapsed")
}
