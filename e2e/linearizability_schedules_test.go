package e2e

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// The durations of a schedule: longer than those of a history, so that each event
// happens within its duration on a busy machine too.
const (
	scheduleTimeout = 2 * time.Second     // UPSTREAM_TIMEOUT
	scheduleLease   = 2 * scheduleTimeout // of a write, and of the settling of an epoch
)

// schedules are sequences of a few requests in a fixed order, through gateways a, b and
// c. Each mutant is detected by one of them. Osgate without a mutation responds
// correctly to all of them.
var schedules = map[string]func(w *deployment){
	"serves without comparing": func(w *deployment) {
		w.fillCache(b)
		w.send(a, w.history.newPut(0, 0))
		w.readUntil(b, getKey, isHit, testTimeout)
	},
	"stamps after the fetch": func(w *deployment) {
		w.fillCache(b)
		w.stack.emulator.clearRequests()
		w.replicas[b].upstream.delay(toClient, scheduleTimeout/2)
		read := w.start(b, historyRequest{operation: getKeyNoCache})
		w.stack.emulator.awaitRequest(func(r receivedRequest) bool {
			return r.Method == http.MethodGet && r.Target == w.history.target(historyRequest{}) && r.Status != 0
		})
		w.send(a, w.history.newPut(0, 0))
		read.Wait()
		w.replicas[b].upstream.heal()
		w.readUntil(b, getKey, isHit, testTimeout)
	},
	"joins a fetch from before a write": func(w *deployment) {
		w.send(a, w.history.newPut(0, 0))
		w.readUntil(c, headKey, isHit, testTimeout) // its lease has been released
		w.stack.emulator.clearRequests()
		w.replicas[b].upstream.delay(toClient, scheduleTimeout*8/10)
		read := w.start(b, historyRequest{})
		w.stack.emulator.awaitRequest(w.isAnswered(http.MethodGet))
		w.send(a, w.history.newPut(0, 0))
		w.readUntil(c, headKey, isHit, scheduleTimeout*2/10)
		w.send(b, historyRequest{})
		read.Wait()
	},
	"marks afterwards": func(w *deployment) {
		w.fillCache(b)
		w.replicas[a].upstream.delay(toClient, scheduleTimeout*6/10)
		latest := w.history.newPut(0, 0)
		write := w.start(a, latest)
		w.readUntil(c, getKeyNoCache, hasValueOf(latest), scheduleLease)
		w.readUntil(b, getKey, isHit, testTimeout)
		write.Wait()
	},
	"serves under a lease": func(w *deployment) {
		w.send(a, w.history.newPut(0, 0))
		w.delayedWrite(func() {})
	},
	"does not settle": func(w *deployment) {
		w.fillCache(b)
		w.delayedWrite(func() {
			w.readUntil(b, getKey, isWriteInFlight, scheduleTimeout)
			w.replicas[a].redis.blackHole(toServer) // otherwise the renewal of its mark would replace it
			w.redis.Flush()
		})
	},
	"gives every lease back": func(w *deployment) {
		w.send(a, w.history.newPut(0, 0))
		w.replicas[a].upstream.delay(toServer, scheduleTimeout*3/2)
		latest := w.history.newPut(0, 0)
		w.send(a, latest) // its outcome is unknown while it has not arrived
		w.readUntil(b, getKey, isHit, scheduleTimeout*4/10)
		w.readUntil(c, getKeyNoCache, hasValueOf(latest), scheduleLease)
		w.readUntil(b, getKey, isHit, testTimeout)
	},
	"keeps what a write changed": func(w *deployment) {
		w.fillCache(b)
		w.send(a, w.history.newPut(0, 0))
		w.readUntil(b, getKey, isHit, testTimeout)
	},
	"serves what a lease that ran out was over": func(w *deployment) {
		w.fillCache(b)
		w.replicas[a].upstream.delay(toClient, scheduleTimeout*3/2)
		w.send(a, w.history.newPut(0, 0)) // its outcome is unknown, although it has arrived
		w.readUntil(b, getKey, isHit, scheduleLease+testTimeout)
	},
	"gives the lease of a confirmable write back": func(w *deployment) {
		w.fillCache(b)
		before := w.history.latestValue.Load()
		pending := w.history.newPut(0, 0)
		pending.confirmable = true
		w.send(a, pending)
		w.readUntil(b, getKey, isHit, scheduleTimeout)
		w.rollBack(before)
		w.readUntil(b, getKey, isHit, scheduleTimeout)
	},
	"writes without a mark": writeWithoutRedis,
	"does not renew a mark": func(w *deployment) {
		w.fillCache(b)
		w.replicas[a].upstream.delay(toClient, scheduleTimeout*6/10)
		latest := w.history.newPut(0, 0)
		latest.pause = scheduleLease * 5 / 4
		write := w.start(a, latest)
		w.readUntil(b, getKey, isWriteInFlight, testTimeout)
		w.readUntil(b, getKey, isHit, latest.pause) // never, unless its lease runs out
		w.readUntil(c, getKeyNoCache, hasValueOf(latest), testTimeout)
		w.readUntil(b, getKey, isHit, testTimeout)
		write.Wait()
	},
	"does not cut a write without a mark": func(w *deployment) {
		w.longWriteWithoutRedis(func() { w.readUntil(b, getKey, isHit, testTimeout) })
		w.readUntil(b, getKey, isHit, testTimeout)
	},
	"serves what a lost release was over": func(w *deployment) {
		w.fillCache(b)
		w.replicas[a].upstream.delay(toClient, scheduleTimeout*6/10)
		write := w.start(a, w.history.newPut(0, 0))
		w.readUntil(b, getKey, isWriteInFlight, testTimeout)
		w.replicas[a].redis.cut(toServer)
		write.Wait()
		w.readUntil(b, getKey, isHit, scheduleLease+testTimeout)
	},
	"forgets a mark that was lost": func(w *deployment) {
		w.longWriteWithoutRedis(func() { // answers of b may be stale until a has marked its write
			eventually(w.t, "a hit", func() bool { return isHit(w.replicas[b].client().get(w.history.target(historyRequest{}))) })
		})
		w.replicas[a].redis.heal()
		w.readUntil(a, getKey, isHit, testTimeout) // it has marked its write
		w.readUntil(b, getKey, isHit, testTimeout)
	},
}

// longWriteWithoutRedis is a write through a that is longer than its lease. In its
// middle only a loses Redis. Then meanwhile is called.
func (w *deployment) longWriteWithoutRedis(meanwhile func()) {
	w.fillCache(b)
	latest := w.history.newPut(0, 0)
	latest.pause = scheduleLease * 3 / 2
	write := w.start(a, latest)
	w.readUntil(b, getKey, isWriteInFlight, testTimeout)
	w.replicas[a].redis.cut(toServer)
	meanwhile()
	write.Wait()
}

// withoutStrict are the mutants, and unmutated gateways, that run without CACHE_STRICT.
// A write without a mark needs no mutated code there.
var withoutStrict = []string{"writes without a mark", "forgets a mark that was lost", "not forgets a mark that was lost"}

// mutantSettings returns the settings of a mutant.
func mutantSettings(mutant string) []string {
	settings := []string{"UPSTREAM_TIMEOUT=" + scheduleTimeout.String()}
	if slices.Contains(withoutStrict, mutant) {
		return settings
	}
	return append(settings, "CACHE_STRICT=true")
}

// a, b and c are the gateways of a schedule.
const a, b, c = 0, 1, 2

// writeWithoutRedis is a write through a gateway that alone has no Redis. With
// CACHE_STRICT it is refused; without it the other gateways do not know of it.
func writeWithoutRedis(w *deployment) {
	w.fillCache(b)
	w.replicas[a].redis.cut(toServer)
	w.send(a, w.history.newPut(0, 0))
	w.readUntil(b, getKey, isHit, testTimeout)
	w.replicas[a].redis.heal()
}

// delayedWrite is a write that is marked long before it reaches upstream. It begins
// before meanwhile is called, and its response is so late that its outcome is unknown.
func (w *deployment) delayedWrite(meanwhile func()) {
	w.replicas[a].upstream.delay(toServer, scheduleTimeout*8/10)
	w.replicas[a].upstream.delay(toClient, scheduleTimeout*4/10)
	latest := w.history.newPut(0, 0)
	write := w.start(a, latest)
	meanwhile()
	w.readUntil(b, getKey, isHit, scheduleTimeout*6/10)
	w.readUntil(c, getKeyNoCache, hasValueOf(latest), scheduleLease)
	w.readUntil(b, getKey, isHit, testTimeout)
	write.Wait()
}

// fillCache writes a value and reads it through a gateway until its cache answers.
func (w *deployment) fillCache(gateway int) {
	w.send(a, w.history.newPut(0, 0))
	w.readUntil(gateway, getKey, isHit, testTimeout)
}

// rollBack lets the confirmable write of the one key of a schedule roll back by itself.
// In the history this is a put of the value of before, which may take effect at any
// time from now on.
func (w *deployment) rollBack(before int32) {
	w.history.recordPending(historyRequest{operation: putKey, value: before})
	w.stack.emulator.backDoor(http.MethodPost, "clock", `{"advance":"11m"}`)
	w.readUntil(c, getKeyNoCache, hasValueOf(historyRequest{value: before}), testTimeout)
}

// send sends a request through a gateway.
func (w *deployment) send(gateway int, q historyRequest) *answer {
	return w.history.perform(gateway, w.replicas[gateway].client(), q)
}

// isAnswered matches requests with this method for the one key of a schedule, once
// upstream has answered them.
func (w *deployment) isAnswered(method string) func(receivedRequest) bool {
	return func(r receivedRequest) bool {
		return hasTarget(method, w.history.target(historyRequest{}))(r) && r.Status != 0
	}
}

// start sends a request through a gateway without waiting for its response.
func (w *deployment) start(gateway int, q historyRequest) *sync.WaitGroup {
	var asking sync.WaitGroup
	c := w.replicas[gateway].client()
	asking.Go(func() { w.history.perform(10+gateway, c, q) })
	return &asking
}

// readUntil reads the one key of a schedule through a gateway until a response matches,
// or the bound is over.
func (w *deployment) readUntil(gateway int, v operation, holds func(*answer) bool, bound time.Duration) {
	for deadline := time.Now().Add(bound); ; pause(10 * time.Millisecond) {
		if answer := w.send(gateway, historyRequest{operation: v}); answer != nil && holds(answer) || time.Now().After(deadline) {
			return
		}
	}
}

// isWriteInFlight reports whether a response bypassed the cache because a write is
// under way.
func isWriteInFlight(a *answer) bool {
	return strings.Contains(a.header.Get("Cache-Status"), "write-in-flight")
}

// hasValueOf matches responses with the value of a put.
func hasValueOf(q historyRequest) func(*answer) bool {
	return func(a *answer) bool {
		value, ok := valueIn(a.body)
		return ok && value == q.value
	}
}
