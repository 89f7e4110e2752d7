package proxy

import (
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
)

// class is whether the client of an exchange that holds a slot is identified.
type class uint8

const (
	unidentified class = iota // its token is not confirmed; every Access Management call
	identified                // its token was confirmed, now or before
)

// shortage is the reason why an exchange gets no slot.
type shortage uint8

const (
	noShortage          shortage = iota
	shortOfAll                   // all slots are taken
	shortOfUnidentified          // all slots for unidentified exchanges are taken
	shortOfAddress               // the address holds as many of those as one address may hold
	shortages                    // number of shortages
)

// reservedShare is the share of the slots that only identified clients may take: one in
// so many. So a client with a known token is not shed because of clients without one.
const reservedShare = 4

// slots bound how many exchanges are in one state at once, and how many of those are
// unidentified, in all and from one address. They are safe for concurrent use; no
// method waits. The table of addresses contains only addresses that hold a slot.
type slots struct {
	limit, unidentified, perAddress int

	mu        sync.Mutex // guards the fields below
	held      [2]int     // by class
	addresses map[string]int
	refused   [shortages]int64 // since the start
}

// newSlots returns limit slots. Unidentified exchanges of one address may hold one in
// addressShare of them, at least one.
func newSlots(limit, addressShare int) *slots {
	return &slots{
		limit: limit, unidentified: limit - limit/reservedShare, perAddress: max(1, limit/addressShare),
		addresses: map[string]int{},
	}
}

// take returns a slot for an exchange of class c from an address, or the reason why
// there is none.
func (s *slots) take(c class, address string) (slot, shortage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if short := s.short(c, address); short != noShortage {
		s.refused[short]++
		return slot{class: c}, short
	}
	s.held[c]++
	if c == unidentified {
		s.addresses[address]++
	}
	return slot{of: s, class: c, address: address}, noShortage
}

// short returns the bound that prevents one more slot. The caller holds mu.
func (s *slots) short(c class, address string) shortage {
	switch {
	case c == unidentified && s.addresses[address] >= s.perAddress:
		return shortOfAddress
	case s.held[unidentified]+s.held[identified] >= s.limit:
		return shortOfAll
	case c == unidentified && s.held[unidentified] >= s.unidentified:
		return shortOfUnidentified
	}
	return noShortage
}

// leave takes back a slot of class c. The caller holds mu.
func (s *slots) leave(c class, address string) {
	s.held[c]--
	if c != unidentified {
		return
	}
	if s.addresses[address]--; s.addresses[address] == 0 {
		delete(s.addresses, address)
	}
}

// slot is the slot of one exchange. The zero slot holds none. It belongs to the
// goroutine that serves the exchange.
type slot struct {
	of      *slots // nil: no slot is held
	class   class
	address string
}

// free gives the slot back, once. The class is kept.
func (s *slot) free() {
	if s.of == nil {
		return
	}
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.of.leave(s.class, s.address)
	s.of = nil
}

// counts returns the slots held now, by class, and the shortages since the start.
func (s *slots) counts() (held [2]int, refused [shortages]int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held, s.refused
}

// Load is the number of slots of a [Proxy] that are in use.
type Load struct {
	// Exchanges that hold a slot now. Refused exchanges hold slots of their own while
	// their answers are written and the rest of their requests is read.
	Identified, Unidentified, Refused int64

	// The maximum: in all, of unidentified exchanges, of refused exchanges.
	Limit, UnidentifiedLimit, RefusedLimit int64

	// Exchanges that got no slot since the start, by the bound that was reached: all
	// slots, slots of unidentified exchanges, those of one address, and those of
	// refused exchanges. The last are cut off without an answer.
	ShortOfAll, ShortOfUnidentified, ShortOfAddress, ShortOfRefused int64
}

// Load returns the slots in use. It never waits for an exchange.
func (p *Proxy) Load() Load {
	serving, short := p.serving.counts()
	lingering, cut := p.lingering.counts()
	return Load{
		Identified: int64(serving[identified]), Unidentified: int64(serving[unidentified]),
		Refused: int64(lingering[identified] + lingering[unidentified]), Limit: int64(p.serving.limit),
		UnidentifiedLimit: int64(p.serving.unidentified), RefusedLimit: int64(p.lingering.limit),
		ShortOfAll: short[shortOfAll], ShortOfUnidentified: short[shortOfUnidentified],
		ShortOfAddress: short[shortOfAddress],
		ShortOfRefused: cut[shortOfAll] + cut[shortOfUnidentified] + cut[shortOfAddress],
	}
}

// methods lists the methods whose exchanges are counted separately. All others are
// counted together, because a client may send any method.
var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
	http.MethodOptions, http.MethodConnect, http.MethodTrace,
}

// underWay counts the exchanges that are under way: one count for each of methods, and
// the last for all others. It is safe for concurrent use.
type underWay []atomic.Int64

// add adds n to the count of a method's exchanges.
func (u underWay) add(method string, n int64) {
	i := slices.Index(methods, method)
	if i < 0 {
		i = len(methods)
	}
	u[i].Add(n)
}

// Exchanges returns how many exchanges are under way.
func (p *Proxy) Exchanges() (n int64) {
	for i := range p.exchanges {
		n += p.exchanges[i].Load()
	}
	return n
}

// ExchangesByMethod calls yield with the number of exchanges under way for each method.
// The method is empty for all methods that HTTP does not define.
func (p *Proxy) ExchangesByMethod(yield func(method string, n int64)) {
	for i, method := range append(slices.Clone(methods), "") {
		yield(method, p.exchanges[i].Load())
	}
}
