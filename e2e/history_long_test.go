package e2e

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// longWritePause is the pause of a long write's client in the middle of its body: the
// write takes longer than its lease, unless the lease is renewed.
const longWritePause = historyLease * 5 / 4

// pausingBody is a body that pauses in its middle. It is too long for the gateway to
// keep, so the gateway sends its first half upstream.
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

// delayedReader is a reader that returns its first byte late.
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

// startLongWrites begins a long write in each partition through a gateway. The clients
// do not use this gateway until the returned group is done.
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

// longWrites lets writes take longer than their leases. Their answers are slow, so that
// other clients can read written values before the lease is released.
func longWrites(w *deployment, r *replica, _ time.Duration) {
	defer r.avoided.Store(false)
	r.upstream.delay(toClient, historyTimeout/2)
	w.startLongWrites(r).Wait()
	r.upstream.heal()
}

// loseRedisInLongWrites disconnects one gateway from Redis in the middle of its long
// writes, and reconnects it when the writes are over and their leases have expired.
// Without CACHE_STRICT the other gateways may be stale until that gateway has marked
// its writes, and serves hits again.
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
