package emulator

import (
	"slices"
	"sync"
	"time"
)

// ratePeriod is the sliding second of the vendor's "flat 10 req/sec".
const ratePeriod = time.Second

// window is an exact sliding log: it admits at most rate requests of each subject in
// any second, even all at once. It is safe for concurrent use.
type window struct {
	rate  int // negative: no limit
	clock *clock

	mu   sync.Mutex // guards logs, swept
	logs map[string][]time.Time
	// swept is the time of the last removal of idle subjects.
	swept time.Time
}

func newWindow(rate int, c *clock) *window {
	return &window{rate: rate, clock: c, logs: map[string][]time.Time{}}
}

// take admits a request of the subject, at the time it returns, or returns how long to
// wait.
func (w *window) take(subject string) (admitted time.Time, wait time.Duration) {
	if w.rate < 0 {
		return time.Time{}, 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.clock.now() // under the lock, so that a log is in order
	w.sweep(now)
	log := recent(w.logs[subject], now)
	if len(log) >= w.rate {
		w.logs[subject] = log
		return now, ratePeriod - now.Sub(log[len(log)-w.rate])
	}
	w.logs[subject] = append(log, now)
	return now, 0
}

// giveBack removes an admission from the log.
func (w *window) giveBack(subject string, admitted time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.Index(w.logs[subject], admitted); i >= 0 {
		w.logs[subject] = slices.Delete(w.logs[subject], i, i+1)
	}
}

// recent drops entries that are a period old from a log: they do not limit requests any
// more.
func recent(log []time.Time, now time.Time) []time.Time {
	for len(log) > 0 && now.Sub(log[0]) >= ratePeriod {
		log = log[1:]
	}
	return log
}

// sweep removes, once a period, the subjects without a request for one period.
func (w *window) sweep(now time.Time) {
	if now.Sub(w.swept) < ratePeriod {
		return
	}
	w.swept = now
	for subject, log := range w.logs {
		if len(recent(log, now)) == 0 {
			delete(w.logs, subject)
		}
	}
}

func rateSubjects() []string { return []string{"client", "app", "store", "ip", "location"} }
