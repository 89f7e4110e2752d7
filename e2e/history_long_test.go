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
	w.excuse.end(r)
}
