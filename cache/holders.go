package cache

import (
	"sync"
	"time"
)

// The bounds of the leases of one client in this process.
const (
	// clientLeases is the number of leases that a client may hold at once: of writes
	// under way, and of ended writes whose lease is kept. Beyond that, each further
	// write takes one lease on the whole store instead of up to three on the resources
	// that it touches, so that the client's leases leave room for those of others.
	clientLeases = 256
	// clientsHeld is the number of clients that are counted separately. All further
	// clients count as one.
	clientsHeld = 4096
)

// When the leases of a client are worth a log line.
const (
	noticeEvery  = time.Minute // at most one for each client, and noticesEach for all clients
	noticesEach  = 60
	storesEach   = 60          // writes of whole stores by one client within noticeEvery
	longUnderWay = time.Minute // a write whose lease is renewed for longer
)

// Holding describes leases with which a client keeps reads from the cache, for
// [Options].OnHold.
type Holding struct {
	Client          string // its name in quotas and logs
	Location, Store string // of the write that caused the report
	Leases          int    // the leases of the client in this process
	Why             string // one of the Hold constants
	Until           time.Time
}

// The reasons of a report.
const (
	HoldStore   = "store"    // a lease on a whole store is kept: the outcome is unknown or the write may roll back
	HoldMany    = "many"     // the client holds so many leases that each further one is on a whole store
	HoldOften   = "often"    // the client writes whole stores again and again
	HoldSlowly  = "slowly"   // the body of a write takes long
	otherClient = "(others)" // the name of all clients beyond clientsHeld
)

// holders counts leases by client. It is safe for concurrent use.
type holders struct {
	notice func(Holding) // nil: no reports

	mu      sync.Mutex // guards the fields below
	clients map[string]*holder
	swept   time.Time
	since   time.Time // start of the period that notices counts
	notices int
}

// holder contains the leases of one client.
type holder struct {
	underWay int
	kept     []time.Time // the end of each kept lease; at most clientLeases, the last stands in for all further ones
	noticed  time.Time
	since    time.Time // start of the period that stores counts
	stores   int       // writes of whole stores
}

func newHolders(notice func(Holding)) *holders {
	return &holders{notice: notice, clients: map[string]*holder{}}
}

// begin counts a write that takes a lease at now. It returns the name under which the
// write is counted, and the number of leases that the client holds, this one included.
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

// end counts the end of a write: its lease is given back, or kept until the time kept.
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

// held drops the leases that have run out and returns the number of the others.
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

// sweep removes the clients that hold no leases, at most once a second, and reports
// whether that made room. The caller must hold mu.
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

// totals returns the number of leases of writes under way, and of ended writes.
func (h *holders) totals(now time.Time) (underWay, kept int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.clients {
		underWay += int64(c.underWay)
		kept += int64(c.held(now) - c.underWay)
	}
	return underWay, kept
}

// held returns the number of leases that a client holds.
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

// report calls notice unless this client, or all clients together, have reached their
// limit of log lines. A client without leases may have been removed; then there is no
// report.
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
