package admin

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

const (
	tryInterval  = 5 * time.Second // one more wrong token of an address per interval
	tryBurst     = 5               // wrong tokens at once
	maxAddresses = 1024            // addresses counted separately; all others count as one
)

// tries limits how many wrong tokens of an address are answered as such: five at once,
// then one every five seconds (GCRA). The right token is never limited: wrong tokens
// that strangers send from an operator's address, or through a proxy that both share,
// do not lock the operator out. The zero value is ready to use. It is safe for
// concurrent use.
type tries struct {
	mu     sync.Mutex
	fullAt map[netip.Addr]time.Time // when the address has its full burst again
}

// wrong counts a wrong token from an address. It returns how long the address must wait
// if it has sent too many, otherwise 0.
func (t *tries) wrong(from netip.Addr, now time.Time) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	from = t.bucket(from, now)
	fullAt := t.fullAt[from]
	if fullAt.Before(now) {
		fullAt = now
	}
	if excess := fullAt.Sub(now) - (tryBurst-1)*tryInterval; excess > 0 {
		return excess
	}
	t.fullAt[from] = fullAt.Add(tryInterval)
	return 0
}

// bucket returns the address under which from is counted. An IPv6 address counts as its
// /64, which belongs to one host. If there are too many addresses, it returns the zero
// address.
func (t *tries) bucket(from netip.Addr, now time.Time) netip.Addr {
	from = from.Unmap().WithZone("")
	if from.Is6() {
		prefix, _ := from.Prefix(64) // an IPv6 address always has one
		from = prefix.Addr()
	}
	if t.fullAt == nil {
		t.fullAt = map[netip.Addr]time.Time{}
	}
	if _, ok := t.fullAt[from]; ok || len(t.fullAt) < maxAddresses {
		return from
	}
	for a, fullAt := range t.fullAt {
		if fullAt.Before(now) {
			delete(t.fullAt, a)
		}
	}
	if len(t.fullAt) < maxAddresses {
		return from
	}
	return netip.Addr{}
}

// lineInterval is the shortest time between two log lines about wrong tokens.
const lineInterval = time.Minute

// wrongLog logs wrong tokens: one line for the first, then at most one line a minute
// with the number since the last line. It is safe for concurrent use.
type wrongLog struct {
	logger *slog.Logger

	mu    sync.Mutex // guards the fields below
	count int        // wrong tokens since the last line
	from  netip.Addr // address of the latest wrong token
	last  time.Time  // when the last line was logged
}

// add counts a wrong token from an address.
func (l *wrongLog) add(from netip.Addr, now time.Time) {
	l.mu.Lock()
	l.count++
	l.from = from
	l.mu.Unlock()
	l.flush(now)
}

// flush logs the line that is due, if there is one. Every request calls it, so that the
// last wrong tokens are logged too.
func (l *wrongLog) flush(now time.Time) {
	l.mu.Lock()
	count, from := l.count, l.from
	due := count > 0 && (l.last.IsZero() || now.Sub(l.last) >= lineInterval)
	if due {
		l.count, l.last = 0, now
	}
	l.mu.Unlock()
	if due {
		l.logger.Warn("admin token refused", "count", count, "last_remote_addr", from.String())
	}
}
