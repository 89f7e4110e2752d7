package admin

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

const (
	tryInterval  = 5 * time.Second // a wrong token costs its address this much
	tryBurst     = 5               // wrong tokens at once
	maxAddresses = 1024            // addresses kept apart; all others count as one
)

// tries bounds how many wrong tokens of an address are answered as such: five at once,
// then one every five seconds (GCRA). The right token is never one of them: what
// strangers send from an operator's address, or from that of a proxy that both share,
// does not keep the operator out. The zero tries work; it is safe for concurrent use.
type tries struct {
	mu    sync.Mutex
	spent map[netip.Addr]time.Time // until when an address has spent what it may
}

// wrong counts a wrong token from an address. It returns how long the address must wait
// where it had none left, else 0.
func (t *tries) wrong(from netip.Addr, now time.Time) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	from = t.known(from, now)
	spent := t.spent[from]
	if spent.Before(now) {
		spent = now
	}
	if over := spent.Sub(now) - (tryBurst-1)*tryInterval; over > 0 {
		return over
	}
	t.spent[from] = spent.Add(tryInterval)
	return 0
}

// known returns the address that from counts as: a whole /64 where it is IPv6, which one host has to itself, and the zero address where there are
// too many.
func (t *tries) known(from netip.Addr, now time.Time) netip.Addr {
	from = from.Unmap().WithZone("")
	if from.Is6() {
		prefix, _ := from.Prefix(64) // an IPv6 address has one
		from = prefix.Addr()
	}
	if t.spent == nil {
		t.spent = map[netip.Addr]time.Time{}
	}
	if _, ok := t.spent[from]; ok || len(t.spent) < maxAddresses {
		return from
	}
	for a, spent := range t.spent {
		if spent.Before(now) {
			delete(t.spent, a)
		}
	}
	if len(t.spent) < maxAddresses {
		return from
	}
	return netip.Addr{}
}

// lineInterval is the shortest time between two lines of the log about wrong tokens.
const lineInterval = time.Minute

// wrongLog writes lines about wrong tokens: one for the first, then at most one a minute
// with how many there were since the last line. It is safe for concurrent use.
type wrongLog struct {
	logger *slog.Logger

	mu    sync.Mutex // guards all below
	count int        // since the last line
	from  netip.Addr // of the latest
	last  time.Time  // of the last line
}

// add counts a wrong token from an address.
func (l *wrongLog) add(from netip.Addr, now time.Time) {
	l.mu.Lock()
	l.count++
	l.from = from
	l.mu.Unlock()
	l.flush(now)
}

// flush writes the line that is due, if one is. Every request calls it, so that the
// last wrong tokens of a spell are written too.
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
