package ratelimit_test

import (
	"testing"
	"time"

	"osgate/ratelimit"
)

// hearsay takes units of one key and records what a caller can know of it. A replica
// counts the time of a refusal from when it receives the refusal, and Redis gives its
// scripts the time at which it woke up. On a busy machine, both may be late by as much
// as an answer takes.
type hearsay struct {
	ratelimit.Limiter
	key     string
	q       ratelimit.Quota
	slowest time.Duration // of the answers so far
	said    time.Duration // in the latest answer: how long until another unit would be allowed
	until   time.Time     // when the waiting times of all answers have passed
}

// slack is by how much an answer of Redis may be off. It is 0 for a limiter in the
// process.
func (h *hearsay) slack() time.Duration {
	if _, local := h.Limiter.(*ratelimit.Local); local {
		return 0
	}
	return h.slowest + 20*time.Millisecond
}

func (h *hearsay) take(t *testing.T) ratelimit.Result {
	t.Helper()
	start := time.Now()
	r := take(t, h.Limiter, h.key, h.q)
	h.slowest = max(h.slowest, time.Since(start))
	h.said = r.RetryAfter
	if until := time.Now().Add(r.RetryAfter); until.After(h.until) {
		h.until = until
	}
	return r
}

// wait waits until a unit is available. With one process, that is the time in its
// latest answer. With several, that answer may come from the memory of a process that
// does not know which units another one took: a unit is available when the times in all
// their answers have passed.
func (h *hearsay) wait() {
	if _, several := h.Limiter.(*alternating); several {
		<-time.After(time.Until(h.until))
		return
	}
	<-time.After(h.said)
}
