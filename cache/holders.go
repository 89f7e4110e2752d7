package cache

import (
	"sync"
	"time"
)

// The bounds of what one client may hold of the coherence in this process.
const (
	// clientLeases is how many leases a client may hold at once, of writes under way
	// and of those whose lease is kept. With more, each of its further writes takes one
	// lease on the whole store in the place of up to three on what it touches, so that
	// its leases leave room for those of others.
	clientLeases = 256
	// clientsHeld is how many clients are told apart. What is beyond counts as one
	// client.
	clientsHeld = 4096
)

// When a client's holding is worth a line of the log.
const (
	noticeEvery  = time.Minute // at most one a client, and noticesEach over all clients
	noticesEach  = 60
	storesEach   = 60          // writes of whole stores by one client within noticeEvery
	longUnderWay = time.Minute // a write whose lease is renewed for longer
)

// Holding is what a client keeps past the cache, reported to [Options].OnHold.
type Holding struct {
	Client          string // its name in quotas and logs
	Location, Store string // of the write that was one too many
	Leases          int    // that the client holds in this process
	Why             string // one of the Hold constants
	Until           time.Time
}

// Why a holding is reported.
const (
	HoldStore   = "store"    // a lease on a whole store is kept, because the outcome is unknown or may roll back
	HoldMany    = "many"     // the client holds so many leases that each further one is on a whole store
	HoldOften   = "often"    // the client writes whole stores again and again
	HoldSlowly  = "slowly"   // the body of a write takes long
	otherClient = "(others)" // counted as one client
)

// holders counts leases by client. Safe for concurrent use.
type holders struct {
	notice func(Holding) // nil: none

	mu      sync.Mutex // guards what follows
	clients map[string]*holder
	swept   time.Time
	since   time.Time // of notices
	notices int
}

// holder is the leases of one client.
type holder struct {
	underWay int
	kept     []time.Time // when each runs out; clientLeases at most, the last stands for all beyond
	noticed  time.Time
	since    time.Time // of stores
	stores   int       // writes of whole stores
}

func newHolders(notice func(Holding)) *holders {
	return &holders{notice: notice, clients: map[string]*holder{}}
}

// begin counts a write that takes a lease at now, and returns the name under which it
// is counted and how many leases the client holds with it.
func (h *holders) begin(client string, now time.Time) (counted string, held int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.clients[client] == nil && len(h.clients) >= clientsHeld && !h.sweep(now) {
		client = otherClient
	}
	c := h.clients[client]
	if c == nil {
		c = &holder{}
		h.clients[client] = c
	}
	c.underWay++
	return client, c.held(now)
}

// end counts a write that is over: its lease is given back, or kept until an instant.
func (h *holders) end(client string, kept time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.clients[client]
	c.underWay--
	switch last := len(c.kept) - 1; {
	case kept.IsZero():
	case last+1 < clientLeases:
		c.kept = append(c.kept, kept)
	case kept.After(c.kept[last]):
		c.kept[last] = kept
	}
}

// held forgets the leases that have run out and returns how many are left.
func (c *holder) held(now time.Time) int {
	left := c.kept[:0]
	for _, until := range c.kept {
		if until.After(now) {
			left = append(left, until)
		}
	}
	c.kept = left
	return c.underWay + len(left)
}

// sweep forgets the clients that hold nothing, once a second at most, and reports
// whether that made room. It is to be called with mu held.
func (h *holders) sweep(now time.Time) bool {
	if now.Sub(h.swept) < time.Second {
		return false
	}
	h.swept = now
	for name, c := range h.clients {
		if c.held(now) == 0 {
			delete(h.clients, name)
		}
	}
	return len(h.clients) < clientsHeld
}

// totals returns how many leases of writes under way and of those that are over are
// held.
func (h *holders) totals(now time.Time) (underWay, kept int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.clients {
		underWay += int64(c.underWay)
		kept += int64(c.held(now) - c.underWay)
	}
	return underWay, kept
}

// held returns how many leases a client holds.
func (h *holders) held(client string, now time.Time) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.clients[client]; c != nil {
		return c.held(now)
	}
	return 0
}

// wroteStore counts a write of a whole store and reports whether the client writes
// stores too often.
func (h *holders) wroteStore(client string, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.clients[client]
	if now.Sub(c.since) >= noticeEvery {
		c.since, c.stores = now, 0
	}
	c.stores++
	return c.stores >= storesEach
}

// report reports a holding, where neither this client nor all together have had their
// lines. A client that holds nothing any more may be forgotten; then there is nothing
// to report.
func (h *holders) report(client string, now time.Time, holding Holding) {
	if h.notice != nil && h.due(client, now) {
		h.notice(holding)
	}
}

func (h *holders) due(client string, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.clients[client]
	if now.Sub(h.since) >= noticeEvery {
		h.since, h.notices = now, 0
	}
	if c == nil || h.notices >= noticesEach || now.Sub(c.noticed) < noticeEvery {
		return false
	}
	h.notices++
	c.noticed = now
	return true
}
