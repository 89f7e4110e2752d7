package proxy

import (
	"sync"
	"time"
)

// step is an action of upstream that the gateway waits for.
type step uint8

const (
	stepRequest step = iota // to accept the request and to begin its answer
	stepAnswer              // to send more of the answer's body
)

// clock bounds the steps of one request: it calls end once, on a goroutine of its own,
// when a step has used its time. A step of the request cannot be started or stopped
// after the answer has arrived, because net/http may still read the request's body
// then. Safe for concurrent use. Create it with [newClock].
type clock struct {
	end   func(step)
	timer *time.Timer

	mu      sync.Mutex
	step    step      // guarded by mu
	running bool      // guarded by mu
	due     time.Time // guarded by mu: end of the running step's time
}

func newClock(end func(step)) *clock {
	c := &clock{end: end}
	c.timer = time.AfterFunc(time.Hour, c.fire)
	return c
}

// start starts a step that may take d. It replaces the running step.
func (c *clock) start(s step, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s < c.step {
		return
	}
	c.step, c.running, c.due = s, true, time.Now().Add(d)
	c.timer.Reset(d)
}

// stop ends a step that was in time.
func (c *clock) stop(s step) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s < c.step {
		return
	}
	c.step, c.running = s, false
	c.timer.Stop()
}

// fire calls end, unless the step that set the timer was stopped or replaced meanwhile.
func (c *clock) fire() {
	c.mu.Lock()
	late, s := c.running && !time.Now().Before(c.due), c.step
	c.running = c.running && !late
	c.mu.Unlock()
	if late {
		c.end(s)
	}
}
