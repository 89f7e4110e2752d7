package e2e

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// longWrite is how long the client of a long write pauses in the middle of its body: the
// write takes longer than its lease, unless that is renewed.
const longWrite = historyLease * 5 / 4

// pausing is a body that stands still for a while in its middle. It is too long to be kept
// by a gateway, which so sends upstream what it has.
type pausing struct {
	io.Reader
	size int
}

// pausingBody returns a JSON text with spaces before its end.
func pausingBody(text string, pause time.Duration) *pausing {
	const spaces = 70 << 10
	text = strings.TrimSuffix(text, "}") + strings.Repeat(" ", spaces) + "}"
	half := len(text) / 2
	return &pausing{io.MultiReader(strings.NewReader(text[:half]), &late{pause, strings.NewReader(text[half:])}), len(text)}
}

// late is a reader that comes late.
type late struct {
	by time.Duration
	io.Reader
}

func (l *late) Read(p []byte) (int, error) {
	pause(l.by)
	l.by = 0
	return l.Reader.Read(p)
}

// tryPausing is try for a PUT whose client pauses in the middle of its body.
func (c caller) tryPausing(path, text string, pause time.Duration) (*answer, error) {
	body := pausingBody(text, pause)
	return c.tryBody(http.MethodPut, path, body, int64(body.size), "Content-Type: application/json")
}

// longWrites begins a long write in each partition through a gateway, which the clients
// shun until the returned group is done.
func (w *world) longWrites(r *replica) *sync.WaitGroup {
	r.shunned.Store(true)
	writes := &sync.WaitGroup{}
	for partition := range historyPartitions {
		q := w.history.put(partition, w.random.IntN(historyKeys))
		q.pause = longWrite
		writes.Go(func() { w.history.ask(historyClients, r.caller(), q) })
	}
	return writes
}

// longWritesPass lets writes take longer than their leases. Their answers take their time,
// so that others can read what was written before its lease is given back.
func longWritesPass(w *world, r *replica, _ time.Duration) {
	defer r.shunned.Store(false)
	r.upstream.delay(back, historyTimeout/2)
	w.longWrites(r).Wait()
	r.upstream.heal()
}

// lostInLongWrites takes Redis from one gateway in the middle of its long writes, and gives
// it back when they are over and their leases have run out. Without CACHE_STRICT the
// others may be stale until that gateway has made up for them, and serves hits again.
func lostInLongWrites(w *world, r *replica, lasts time.Duration) {
	defer r.shunned.Store(false)
	writes := w.longWrites(r)
	pause(lasts)
	w.excuse.begin(r)
	r.redis.cut(forth)
	writes.Wait()
	pause(historyLease / 2)
	r.redis.heal()
	w.excuse.end(func() bool {
		a, err := r.caller().try(http.MethodGet, keyOne, "")
		return err == nil && hit(a)
	})
}

// excuse is what is documented to be stale by default: what other gateways answer from
// cache while one that writes has no Redis. It is safe for concurrent use.
type excuse struct {
	granted bool // to this history; a strict one has none

	mu   sync.Mutex
	lost *replica // guarded by mu: the gateway without Redis; nil: all have it
	n    int      // guarded by mu: how often that has changed
}

// begin and end hold while a gateway is cut off; end waits until it has made up for its
// writes.
func (e *excuse) begin(lost *replica) { e.set(lost) }

func (e *excuse) end(madeUp func() bool) {
	for deadline := time.Now().Add(patience); !madeUp() && time.Now().Before(deadline); {
		pause(10 * time.Millisecond)
	}
	e.set(nil)
}

func (e *excuse) set(lost *replica) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lost = lost
	e.n++
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
