package proxy

import "sync"

// class says what is known of the caller of an exchange that holds a slot.
type class uint8

const (
	stranger   class = iota // not identified; an Access Management call never is
	identified              // its token has been confirmed, now or before
)

// shortage says why an exchange gets no slot.
type shortage uint8

const (
	noShortage      shortage = iota
	shortOfAll               // all slots are taken
	shortOfStranger          // all slots for exchanges that are not identified are taken
	shortOfAddress           // the address holds as many of those as one address may
	shortages                // how many there are
)

// reservedShare: one in so many slots is for identified callers alone, so that a client
// whose token is known is not shed because of clients without one.
const reservedShare = 4

// slots bound how many exchanges are in one state at once, and how many of those are not
// identified, over all and for one address. They are safe for concurrent use; nothing
// waits. The table of addresses holds an entry only while that address holds a slot.
type slots struct {
	limit, strangers, address int

	mu        sync.Mutex // guards what follows
	held      [2]int     // by class
	addresses map[string]int
	refused   [shortages]int64 // since the start
}

// newSlots returns so many slots, of which the strangers of one address may hold one in
// addressShare, at least one.
func newSlots(limit, addressShare int) *slots {
	return &slots{
		limit: limit, strangers: limit - limit/reservedShare, address: max(1, limit/addressShare),
		addresses: map[string]int{},
	}
}

// take returns a slot for a caller of class c at an address, or why there is none.
func (s *slots) take(c class, address string) (slot, shortage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if short := s.short(c, address); short != noShortage {
		s.refused[short]++
		return slot{class: c}, short
	}
	s.held[c]++
	if c == stranger {
		s.addresses[address]++
	}
	return slot{of: s, class: c, address: address}, noShortage
}

// short returns what is missing for one more slot. The caller holds mu.
func (s *slots) short(c class, address string) shortage {
	switch {
	case c == stranger && s.addresses[address] >= s.address:
		return shortOfAddress
	case s.held[stranger]+s.held[identified] >= s.limit:
		return shortOfAll
	case c == stranger && s.held[stranger] >= s.strangers:
		return shortOfStranger
	}
	return noShortage
}

// leave takes a slot of class c back. The caller holds mu.
func (s *slots) leave(c class, address string) {
	s.held[c]--
	if c != stranger {
		return
	}
	if s.addresses[address]--; s.addresses[address] == 0 {
		delete(s.addresses, address)
	}
}

// slot is one exchange's place among slots. The zero slot is none. It belongs to the
// goroutine that serves the exchange.
type slot struct {
	of      *slots // nil: none is held
	class   class
	address string
}

// promote notes that the holder has been identified.
func (s *slot) promote() {
	if s.of == nil || s.class == identified {
		return
	}
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.of.leave(stranger, s.address)
	s.of.held[identified]++
	s.class = identified
}

// free gives the slot back, once. The class stays known.
func (s *slot) free() {
	if s.of == nil {
		return
	}
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.of.leave(s.class, s.address)
	s.of = nil
}

// counts returns what is held, by class, and what was refused since the start.
func (s *slots) counts() (held [2]int, refused [shortages]int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held, s.refused
}
