package admin

import (
	"net/netip"
	"sync"
	"time"
)

const (
	tryInterval  = 5 * time.Second // a wrong token costs its address this much
	tryBurst     = 5               // wrong tokens at once
	maxAddresses = 1024            // addresses kept apart; all others count as one
)

// tries bounds how fast wrong tokens can be tried, by address: five at once, then one every five seconds (GCRA). While an address has none left, the
// right token is refused to it too, or a guess would cost nothing. The zero tries work; it is safe for concurrent use.
type tries struct {
	mu    sync.Mutex               // held while a token is compared, so that tries that come at once cannot all be the last
	spent map[netip.Addr]time.Time // until when an address has spent what it may
}

// try calls right, which compares a token, if from has a try left, and counts a wrong one. It returns whether the token was right, and how long
// from must wait where it had no try left.
func (t *tries) try(from netip.Addr, now time.Time, right func() bool) (ok bool, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	from = t.known(from, now)
	spent := t.spent[from]
	if spent.Before(now) {
		spent = now
	}
	if over := spent.Sub(now) - (tryBurst-1)*tryInterval; over > 0 {
		return false, over
	}
	if right() {
		return true, 0
	}
	t.spent[from] = spent.Add(tryInterval)
	return false, 0
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
