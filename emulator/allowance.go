package emulator

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

// allowance is Access Management's own limit: a number of requests for each subject in
// each minute of the clock, reported in X-RateLimit headers. It is safe for concurrent
// use.
type allowance struct {
	limit int // negative: no limit

	mu     sync.Mutex // guards minute and spent
	minute time.Time
	spent  map[string]int
}

// maxSubjects limits how many subjects are counted separately within a minute; further
// ones share one allowance.
const maxSubjects = 100_000

// balance is the rest of a subject's allowance.
type balance struct {
	limit, remaining int
	reset            time.Time
}

// take uses one request of the subject, and reports whether its allowance was exceeded.
func (l *allowance) take(subject string, now time.Time) (left balance, over bool) {
	if l.limit < 0 {
		return balance{}, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if minute := now.Truncate(time.Minute); !minute.Equal(l.minute) {
		l.minute, l.spent = minute, map[string]int{}
	}
	if _, known := l.spent[subject]; !known && len(l.spent) >= maxSubjects {
		subject = ""
	}
	over = l.spent[subject] >= l.limit
	if !over {
		l.spent[subject]++
	}
	return balance{l.limit, l.limit - l.spent[subject], l.minute.Add(time.Minute)}, over
}

// write sets the headers that every Access Management operation has (API description);
// the reset is in epoch seconds.
func (b balance) write(h http.Header) {
	if b.limit == 0 {
		return
	}
	h.Set("X-RateLimit-Limit", strconv.Itoa(b.limit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(b.remaining))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(b.reset.Unix(), 10))
}
