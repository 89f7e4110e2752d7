package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// fault is a failure of one gateway, or of all of them, for about this duration. It
// returns when the failure is over.
type fault func(w *deployment, r *replica, lasts time.Duration)

// pause waits for this duration.
func pause(d time.Duration) { <-time.After(d) }

// faults are the faults by their names, which are logged.
var faults = map[string]fault{
	"upstream slow": func(_ *deployment, r *replica, lasts time.Duration) {
		r.upstream.delay(toServer, lasts/4)
		r.upstream.delay(toClient, lasts/4)
		pause(lasts)
		r.upstream.heal()
	},
	"requests late": delayWrites,
	"a crowd":       readByMany,
	"requests cut": func(_ *deployment, r *replica, lasts time.Duration) {
		r.upstream.cut(toServer)
		pause(lasts / 4)
		r.upstream.heal()
	},
	"answers cut": func(_ *deployment, r *replica, lasts time.Duration) {
		r.upstream.cut(toClient)
		pause(lasts / 4)
		r.upstream.heal()
	},
	"answers shortened": func(_ *deployment, r *replica, lasts time.Duration) {
		r.upstream.truncate(4000)
		pause(lasts)
		r.upstream.heal()
	},
	"upstream silent": func(_ *deployment, r *replica, lasts time.Duration) {
		r.upstream.blackHole(toClient)
		pause(lasts)
		r.upstream.heal()
	},
	"upstream failing": func(w *deployment, _ *replica, lasts time.Duration) {
		w.stack.emulator.backDoor(http.MethodPut, "faults", `{"500":0.05,"reset":0.05,"cut":0.05,"on":["objectstore"]}`)
		pause(lasts)
		w.stack.emulator.backDoor(http.MethodPut, "faults", "{}")
	},
	"Redis flushed":               func(w *deployment, _ *replica, _ time.Duration) { w.redis.Flush() },
	"Redis flushed during writes": flushDuringWrites,
	"Redis restarted": func(w *deployment, _ *replica, lasts time.Duration) {
		w.redis.Stop()
		pause(lasts / 2)
		w.redis.Restart()
	},
	"Redis slow": func(w *deployment, _ *replica, lasts time.Duration) {
		for _, r := range w.replicas {
			r.redis.delay(toClient, 2*shortRedisTimeout)
		}
		pause(lasts)
		for _, r := range w.replicas {
			r.redis.heal()
		}
	},
	"Redis lost to one": func(_ *deployment, r *replica, lasts time.Duration) {
		r.redis.cut(toServer)
		pause(lasts)
		r.redis.heal()
	},
	"Redis silent to one": func(_ *deployment, r *replica, lasts time.Duration) {
		r.redis.blackHole(toClient)
		pause(lasts)
		r.redis.heal()
	},
	"gateway killed":            killDuringWrite,
	"strangers write":           foreignWrites,
	"long writes":               longWrites,
	"Redis lost in long writes": loseRedisInLongWrites,
	"Redis full":                redisFull,
	"Redis unsaved":             redisUnsaved,
	"slot moves":                moveSlot, // of a cluster
}

// shortRedisTimeout is the REDIS_TIMEOUT of tests in which Redis fails.
const shortRedisTimeout = 200 * time.Millisecond

// delayWrites delays writes on their way upstream, so that they arrive after the
// gateway has stopped waiting.
func delayWrites(w *deployment, r *replica, _ time.Duration) {
	const late = historyTimeout * 13 / 10
	r.upstream.delay(toServer, late)
	w.writeThrough(r, func() { pause(late) })
	r.upstream.heal()
}

// readByMany lets many clients read one key at once through a gateway with a slow
// upstream, while the key is written again and again through another gateway.
func readByMany(w *deployment, r *replica, lasts time.Duration) {
	q := historyRequest{partition: w.random.IntN(historyPartitions), key: w.random.IntN(historyKeys)}
	other := w.replicas[0]
	if other == r {
		other = w.replicas[1]
	}
	r.upstream.delay(toClient, lasts/3)
	var all sync.WaitGroup
	deadline := time.Now().Add(lasts)
	for n := range historyClients {
		all.Go(func() {
			for time.Now().Before(deadline) {
				w.history.perform(historyClients+1+n, r.client(), q)
			}
		})
	}
	for range 6 {
		w.history.perform(historyClients, other.client(), w.history.newPut(q.partition, q.key))
		pause(lasts / 6)
	}
	all.Wait()
	r.upstream.heal()
}

// flushDuringWrites flushes Redis while writes are on their way upstream. They arrive,
// but their responses are lost.
func flushDuringWrites(w *deployment, r *replica, lasts time.Duration) {
	r.upstream.delay(toServer, lasts)
	r.upstream.blackHole(toClient)
	w.writeThrough(r, func() {
		pause(lasts / 4)
		w.redis.Flush()
	})
	r.upstream.heal()
}

// writeThrough writes a key of each partition through a gateway, and returns when the
// writes and meanwhile have ended. Until then the clients send requests to the other
// gateways.
func (w *deployment) writeThrough(r *replica, meanwhile func()) {
	r.avoided.Store(true)
	defer r.avoided.Store(false)
	var writes sync.WaitGroup
	for partition := range historyPartitions {
		q := w.history.newPut(partition, w.random.IntN(historyKeys))
		writes.Go(func() { w.history.perform(historyClients, r.client(), q) })
	}
	meanwhile()
	writes.Wait()
}

// killDuringWrite kills a gateway while its write is on the way upstream, where the
// write arrives. Then it starts another gateway in its place.
func killDuringWrite(w *deployment, r *replica, lasts time.Duration) {
	r.upstream.delay(toServer, lasts/2)
	var write sync.WaitGroup
	q := w.history.newPut(w.random.IntN(historyPartitions), w.random.IntN(historyKeys))
	write.Go(func() { w.history.perform(historyClients, r.client(), q) })
	pause(lasts / 4)
	r.kill()
	write.Wait()
	r.upstream.heal()
	r.start()
}

// foreignWrites lets a client of another organization write keys again and again,
// through all gateways. Object Store refuses the writes, or executes them if osemu is
// configured so; the gateways cannot know in advance.
func foreignWrites(w *deployment, _ *replica, lasts time.Duration) {
	for deadline := time.Now().Add(lasts); time.Now().Before(deadline); pause(5 * time.Millisecond) {
		c := w.replicas[w.random.IntN(len(w.replicas))].client()
		c.token = w.foreignToken
		q := w.history.newPut(w.random.IntN(historyPartitions), w.random.IntN(historyKeys))
		if w.random.IntN(8) == 0 {
			q = historyRequest{operation: deleteKeys, partition: q.partition}
		}
		w.history.performAsStranger(historyClients, c, q)
	}
}

// historyClients is the number of clients of a history.
const historyClients = 8

// startClients lets the clients of a history send requests to any of the gateways, with
// short pauses, until stop is closed.
func (w *deployment) startClients(h *history, seed uint64, stop <-chan struct{}) *sync.WaitGroup {
	all := &sync.WaitGroup{}
	for n := range historyClients {
		random := rand.New(rand.NewPCG(seed, uint64(n)))
		all.Go(func() {
			for {
				r := w.replicas[random.IntN(len(w.replicas))]
				for r.avoided.Load() { // never all of them
					r = w.replicas[random.IntN(len(w.replicas))]
				}
				h.performUnlessStale(n, r.client(), h.randomRequest(random), w.staleness.beforeRequest(r))
				select {
				case <-stop:
					return
				case <-time.After(time.Duration(1+random.IntN(5)) * time.Millisecond):
				}
			}
		})
	}
	return all
}

// randomRequest returns a random request: 10 of 100 are writes.
func (h *history) randomRequest(random *rand.Rand) historyRequest {
	q := historyRequest{partition: random.IntN(historyPartitions), key: random.IntN(historyKeys)}
	switch n := random.IntN(100); {
	case n < 7:
		return h.newPut(q.partition, q.key)
	case n < 8:
		q.operation = deleteKey
	case n < 9:
		q.operation = deleteKeys
	case n < 10:
		q.operation = deletePartition
	case n < 20:
		q.operation = listKeys
	case n < 30:
		q.operation = headKey
	case n < 36:
		q.operation = getKeyNoCache
	default:
		q.operation = getKey
	}
	return q
}

// runFaults lets clients send requests for this duration, and longer until enough
// reports that the history covers enough, while the named faults happen in turn. It
// returns the history. The seed and the speed of the machine determine the order of
// events; a slow machine has three times patience.
func (w *deployment) runFaults(seed uint64, duration time.Duration, enough func(historyCounts) bool, names ...string) *history {
	w.t.Helper()
	h := newHistory(fmt.Sprintf("history-%d", seed))
	random := rand.New(rand.NewPCG(seed, historyClients))
	w.history, w.random = h, random
	stop := make(chan struct{})
	clients := w.startClients(h, seed, stop)
	defer clients.Wait()
	defer close(stop)
	happened := map[string]int{}
	goesOn := func() bool {
		past := time.Since(h.began)
		return past < duration || past < 3*testTimeout && !enough(h.countsSoFar())
	}
	for n := random.IntN(len(names)); goesOn(); n++ {
		pause(time.Duration(100+random.IntN(300)) * time.Millisecond)
		name := names[n%len(names)]
		happened[name]++
		faults[name](w, w.replicas[random.IntN(len(w.replicas))], time.Duration(300+random.IntN(400))*time.Millisecond)
	}
	pause(historyLease / 4) // complete again
	w.t.Logf("seed %d: %v", seed, happened)
	return h
}
