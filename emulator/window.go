package emulator

import (
	"slices"
	"strings"
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

// subject is the key under which a request counts.
type subject struct{ kind, name, key string }

// String returns how the vendor's 429 names the subject: "ip 3.16.69.227", and by
// analogy "client app-one".
func (s subject) String() string { return s.kind + " " + s.name }

// rateSubject returns the key under which a request counts: the vendor's own documents
// contradict each other about it.
func (e *Emulator) rateSubject(x *exchange, r ref) subject {
	s := subject{kind: e.rateBy}
	at := strings.Join([]string{x.place.plane, x.place.region, r.environment}, "\x00")
	switch {
	case s.kind == "ip":
		s.name = x.address()
		s.key = s.name
	case s.kind == "store" && r.store != "":
		s.name = r.store
		s.key = at + "\x00" + r.store
	case s.kind == "app" && r.store != "":
		s.name = application(r.store)
		s.key = at + "\x00" + s.name
	default: // by client, also for each region with location, and for operations without a store
		s.kind, s.name = "client", x.grant.Client
		if s.name == "" {
			s.kind, s.name = "user", x.grant.User
		}
		s.key = x.place.plane + "\x00" + s.kind + "\x00" + s.name
		if e.rateBy == "location" {
			s.key += "\x00" + x.place.region
		}
	}
	return s
}

// application returns the application that a store belongs to: CloudHub names stores
// APP_<app>__<store> (Mule 4) or APP_<app>_<store> (Mule 3). Any other store is an
// application of its own.
func application(storeID string) string {
	name, ok := strings.CutPrefix(storeID, "APP_")
	if !ok {
		return storeID
	}
	for _, separator := range []string{"__", "_"} {
		if app, _, found := strings.Cut(name, separator); found && app != "" {
			return app
		}
	}
	return name
}
