package gateway

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"osgate/admin"
	"osgate/stats"
)

const (
	// historyFresh is how long a history is reused for the same query: half the
	// interval at which the page requests it again.
	historyFresh = 5 * time.Second
	// historyPatience bounds one reading, including the wait for its turn. The page
	// waits no longer.
	historyPatience = 15 * time.Second
	// maxHistories bounds the number of histories that are held.
	maxHistories = 16
)

// histories holds the histories that were lately read from the statistics for
// operators: the history of a large organization is a million numbers, and many pages
// may show the same one. It is safe for concurrent use.
type histories struct {
	readings singleflight.Group
	turns    *turns

	mu   sync.Mutex // guards held
	held map[string]heldHistory
}

// heldHistory is never changed.
type heldHistory struct {
	admin.History
	since time.Time
}

func newHistories(turns *turns) *histories {
	return &histories{turns: turns, held: map[string]heldHistory{}}
}

// of returns the history for q: one that is held, one that is being read, or the result
// of read. Several callers may wait for one reading, so it ends with historyPatience,
// not with ctx.
func (h *histories) of(
	ctx context.Context, q stats.HistoryQuery, read func(context.Context) (admin.History, error),
) (admin.History, error) {
	key := historyKey(q)
	shared, err, _ := h.readings.Do(key, func() (any, error) {
		if said, ok := h.fresh(key, time.Now()); ok {
			return said, nil
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), historyPatience)
		defer cancel()
		end, err := h.turns.take(ctx)
		if err != nil {
			return nil, err
		}
		defer end()
		said, err := read(ctx)
		if err == nil {
			h.hold(key, said, time.Now())
		}
		return said, err
	})
	said, _ := shared.(admin.History) // nil with an error
	return said, err
}

func (h *histories) fresh(key string, now time.Time) (admin.History, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	held, ok := h.held[key]
	return held.History, ok && now.Sub(held.since) < historyFresh
}

func (h *histories) hold(key string, said admin.History, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, held := range h.held {
		if now.Sub(held.since) >= historyFresh {
			delete(h.held, key)
		}
	}
	if len(h.held) == maxHistories {
		clear(h.held)
	}
	h.held[key] = heldHistory{said, now}
}

// historyKey returns the same key for queries with the same answer: it uses the buckets
// that contain the ends of the time range.
func historyKey(q stats.HistoryQuery) string {
	from, to := q.From, q.To
	if !to.Before(from) { // otherwise the query is refused; within one bucket it would look valid
		from, to = q.Period.Start(from), q.Period.Start(to)
	}
	names := []string{q.Plane, q.Organization, q.Environment, q.Region, q.Store}
	return fmt.Sprintf("%q %d %d %d", names, q.Period, from.UnixNano(), to.UnixNano())
}
