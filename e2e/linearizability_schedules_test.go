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
	scheduleLease   = 2 * scheduleTimeout // of a write, and how long an epoch settles
)

// schedules are sequences of a few requests in a fixed order, through gateways a, b and
// c. Each mutant is detected by one of them. Osgate without a mutation responds
// correctly to all of them.
var schedules = map[string]func(w *world){
	"serves without comparing": func(w *world) {
		w.cached(b)
		w.ask(a, w.history.put(0, 0))
		w.until(b, getKey, hit, patience)
	},
	"stamps after the fetch": func(w *world) {
		w.cached(b)
		w.stack.emulator.forget()
		w.replicas[b].upstream.delay(back, scheduleTimeout/2)
		read := w.begin(b, question{verb: getFresh})
		w.stack.emulator.receives(func(r logged) bool {
			return r.Method == http.MethodGet && r.Target == w.history.target(question{}) && r.Status != 0
		})
		w.ask(a, w.history.put(0, 0))
		read.Wait()
		w.replicas[b].upstream.heal()
		w.until(b, getKey, hit, patience)
	},
	"joins a fetch from before a write": func(w *world) {
		w.ask(a, w.history.put(0, 0))
		w.until(c, headKey, hit, patience) // its lease has been given back
		w.stack.emulator.forget()
		w.replicas[b].upstream.delay(back, scheduleTimeout*8/10)
		read := w.begin(b, question{})
		w.stack.emulator.receives(w.answered(http.MethodGet))
		w.ask(a, w.history.put(0, 0))
		w.until(c, headKey, hit, scheduleTimeout*2/10)
		w.ask(b, question{})
		read.Wait()
	},
	"marks afterwards": func(w *world) {
		w.cached(b)
		w.replicas[a].upstream.delay(back, scheduleTimeout*6/10)
		latest := w.history.put(0, 0)
		write := w.begin(a, latest)
		w.until(c, getFresh, shows(latest), scheduleLease)
		w.until(b, getKey, hit, patience)
		write.Wait()
	},
	"serves under a lease": func(w *world) {
		w.ask(a, w.history.put(0, 0))
		w.lateWrite(func() {})
	},
	"does not settle": func(w *world) {
		w.cached(b)
		w.lateWrite(func() {
			w.until(b, getKey, closed, scheduleTimeout)
			w.replicas[a].redis.hole(forth) // or the renewal of its mark would make up for it
			w.redis.Flush()
		})
	},
	"gives every lease back": func(w *world) {
		w.ask(a, w.history.put(0, 0))
		w.replicas[a].upstream.delay(forth, scheduleTimeout*3/2)
		latest := w.history.put(0, 0)
		w.ask(a, latest) // its outcome is unknown when it has yet to arrive
		w.until(b, getKey, hit, scheduleTimeout*4/10)
		w.until(c, getFresh, shows(latest), scheduleLease)
		w.until(b, getKey, hit, patience)
	},
	"keeps what a write changed": func(w *world) {
		w.cached(b)
		w.ask(a, w.history.put(0, 0))
		w.until(b, getKey, hit, patience)
	},
	"serves what a lease that ran out was over": func(w *world) {
		w.cached(b)
		w.replicas[a].upstream.delay(back, scheduleTimeout*3/2)
		w.ask(a, w.history.put(0, 0)) // its outcome is unknown, though it has arrived
		w.until(b, getKey, hit, scheduleLease+patience)
	},
	"gives the lease of a confirmable write back": func(w *world) {
		w.cached(b)
		before := w.history.latest.Load()
		pending := w.history.put(0, 0)
		pending.confirmable = true
		w.ask(a, pending)
		w.until(b, getKey, hit, scheduleTimeout)
		w.rollsBack(before)
		w.until(b, getKey, hit, scheduleTimeout)
	},
	"writes without a mark": cutOff,
	"does not renew a mark": func(w *world) {
		w.cached(b)
		w.replicas[a].upstream.delay(back, scheduleTimeout*6/10)
		latest := w.history.put(0, 0)
		latest.pause = scheduleLease * 5 / 4
		write := w.begin(a, latest)
		w.until(b, getKey, closed, patience)
		w.until(b, getKey, hit, latest.pause) // never, unless its lease runs out
		w.until(c, getFresh, shows(latest), patience)
		w.until(b, getKey, hit, patience)
		write.Wait()
	},
	"does not cut a write without a mark": func(w *world) {
		w.lostInLongWrite(func() { w.until(b, getKey, hit, patience) })
		w.until(b, getKey, hit, patience)
	},
	"serves what a lost release was over": func(w *world) {
		w.cached(b)
		w.replicas[a].upstream.delay(back, scheduleTimeout*6/10)
		write := w.begin(a, w.history.put(0, 0))
		w.until(b, getKey, closed, patience)
		w.replicas[a].redis.cut(forth)
		write.Wait()
		w.until(b, getKey, hit, scheduleLease+patience)
	},
	"forgets a mark that was lost": func(w *world) {
		w.lostInLongWrite(func() { // what b answers until a has made up for its write may be stale
			eventually(w.t, "a hit", func() bool { return hit(w.replicas[b].caller().get(w.history.target(question{}))) })
		})
		w.replicas[a].redis.heal()
		w.until(a, getKey, hit, patience) // it has made up for its write
		w.until(b, getKey, hit, patience)
	},
}

// lostInLongWrite is a write through a that is longer than its lease, and in whose middle a
// alone loses Redis. Meanwhile is called then.
func (w *world) lostInLongWrite(meanwhile func()) {
	w.cached(b)
	latest := w.history.put(0, 0)
	latest.pause = scheduleLease * 3 / 2
	write := w.begin(a, latest)
	w.until(b, getKey, closed, patience)
	w.replicas[a].redis.cut(forth)
	meanwhile()
	write.Wait()
}

// byDefault are the mutants, and gateways as they are, that run without CACHE_STRICT. To
// write without a mark needs no broken code.
var byDefault = []string{"writes without a mark", "forgets a mark that was lost", "not forgets a mark that was lost"}

// settingsOf returns the settings of a mutant.
func settingsOf(mutant string) []string {
	settings := []string{"UPSTREAM_TIMEOUT=" + scheduleTimeout.String()}
	if slices.Contains(byDefault, mutant) {
		return settings
	}
	return append(settings, "CACHE_STRICT=true")
}

// a, b and c are the gateways of a schedule.
const a, b, c = 0, 1, 2

// cutOff is a write through a gateway that alone has no Redis. With CACHE_STRICT it is
// refused; without it the other gateways do not learn of it.
func cutOff(w *world) {
	w.cached(b)
	w.replicas[a].redis.cut(forth)
	w.ask(a, w.history.put(0, 0))
	w.until(b, getKey, hit, patience)
	w.replicas[a].redis.heal()
}

// lateWrite is a write that is marked long before it reaches upstream. It begins before
// meanwhile is called, and its response is so late that its outcome is unknown.
func (w *world) lateWrite(meanwhile func()) {
	w.replicas[a].upstream.delay(forth, scheduleTimeout*8/10)
	w.replicas[a].upstream.delay(back, scheduleTimeout*4/10)
	latest := w.history.put(0, 0)
	write := w.begin(a, latest)
	meanwhile()
	w.until(b, getKey, hit, scheduleTimeout*6/10)
	w.until(c, getFresh, shows(latest), scheduleLease)
	w.until(b, getKey, hit, patience)
	write.Wait()
}

// cached writes a value and reads it through a gateway until its cache answers.
func (w *world) cached(gateway int) {
	w.ask(a, w.history.put(0, 0))
	w.until(gateway, getKey, hit, patience)
}

// rollsBack lets the confirmable write of the one key of a schedule roll back by
// itself. To the history that is a put of the value of before, which may take effect at
// any time from now on.
func (w *world) rollsBack(before int32) {
	w.history.expects(question{verb: putKey, value: before})
	w.stack.emulator.backDoor(http.MethodPost, "clock", `{"advance":"11m"}`)
	w.until(c, getFresh, shows(question{value: before}), patience)
}

// ask sends a request through a gateway.
func (w *world) ask(gateway int, q question) *answer {
	return w.history.ask(gateway, w.replicas[gateway].caller(), q)
}

// answered matches requests with this method for the one key of a schedule, once
// upstream has answered them.
func (w *world) answered(method string) func(logged) bool {
	return func(r logged) bool { return toTarget(method, w.history.target(question{}))(r) && r.Status != 0 }
}

// begin sends a request through a gateway without waiting for its response.
func (w *world) begin(gateway int, q question) *sync.WaitGroup {
	var asking sync.WaitGroup
	c := w.replicas[gateway].caller()
	asking.Go(func() { w.history.ask(10+gateway, c, q) })
	return &asking
}

// until reads the one key of a schedule through a gateway until a response matches, or
// the bound is over.
func (w *world) until(gateway int, v verb, holds func(*answer) bool, bound time.Duration) {
	for deadline := time.Now().Add(bound); ; pause(10 * time.Millisecond) {
		if answer := w.ask(gateway, question{verb: v}); answer != nil && holds(answer) || time.Now().After(deadline) {
			return
		}
	}
}

// closed reports whether a response bypassed the cache because a write is under way.
func closed(a *answer) bool { return strings.Contains(a.header.Get("Cache-Status"), "write-in-flight") }

// shows matches responses with the value of a put.
func shows(q question) func(*answer) bool {
	return func(a *answer) bool {
		value, ok := valueIn(a.body)
		return ok && value == q.value
	}
}
