package e2e

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// longWritePause is how long the client of a long write pauses in the middle of its body: the
// write takes longer than its lease, unless that is renewed.
const longWritePause = historyLease * 5 / 4

// pausingBody is a body that stands still for a while in its middle. It is too long to be kept
// by a gateway, which so sends upstream what it has.
type pausingBody struct {
	io.Reader
	size int
}

// newPausingBody returns a JSON text with spaces before its end.
func newPausingBody(text string, pause time.Duration) *pausingBody {
	const spaces = 70 << 10
	text = strings.TrimSuffix(text, "}") + strings.Repeat(" ", spaces) + "}"
	half := len(text) / 2
	return &pausingBody{io.MultiReader(strings.NewReader(text[:half]), &delayedReader{pause, strings.NewReader(text[half:])}), len(text)}
}

// delayedReader is a reader that comes late.
type delayedReader struct {
	delay time.Duration
	io.Reader
}

func (l *delayedReader) Read(p []byte) (int, error) {
	pause(l.delay)
	l.delay = 0
	return l.Reader.Read(p)
}

// tryPausing is try for a PUT whose client pauses in the middle of its body.
func (c client) tryPausing(path, text string, pause time.Duration) (*answer, error) {
	body := newPausingBody(text, pause)
	return c.tryBody(http.MethodPut, path, body, int64(body.size), "Content-Type: application/json")
}

// startLongWrites begins a long write in each partition through a gateway, which the clients
// shun until the returned group is done.
func (w *deployment) startLongWrites(r *replica) *sync.WaitGroup {
	r.avoided.Store(true)
	writes := &sync.WaitGroup{}
	for partition := range historyPartitions {
		q := w.history.newPut(partition, w.random.IntN(historyKeys))
		q.pause = longWritePause
		writes.Go(func() { w.history.perform(historyClients, r.client(), q) })
	}
	return writes
}

// longWrites lets writes take longer than their leases. Their answers take their time,
// so that others can read what was written before its lease is given back.
func longWrites(w *deployment, r *replica, _ time.Duration) {
	defer r.avoided.Store(false)
	r.upstream.delay(toClient, historyTimeout/2)
	w.startLongWrites(r).Wait()
	r.upstream.heal()
}

// loseRedisInLongWrites takes Redis from one gateway in the middle of its long writes, and gives
// it back when they are over and their leases have run out. Without CACHE_STRICT the
// others may be stale until that gateway has made up for them, and serves hits again.
func loseRedisInLongWrites(w *deployment, r *replica, lasts time.Duration) {
	defer r.avoided.Store(false)
	writes := w.startLongWrites(r)
	pause(lasts)
	w.staleness.begin(r)
	r.redis.cut(toServer)
	writes.Wait()
	pause(historyLease / 2)
	r.redis.heal()
	w.staleness.end(r)
}
