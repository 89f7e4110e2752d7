package auth

import "time"

// How many addresses are remembered as suspects, and for how long: for suspectFor to
// twice that, in two maps of at most maxSuspects.
const (
	suspectFor  = time.Minute
	maxSuspects = 1 << 16
)

// suspects are the addresses of clients that sent a token which the control plane
// refused a short time ago. The Authenticator's lock guards it.
type suspects struct {
	now, former map[string]struct{}
	turned      time.Time // when former was replaced
}

// note remembers an address.
func (s *suspects) note(address string, now time.Time) {
	s.turn(now)
	if s.now == nil {
		s.now = map[string]struct{}{}
	}
	if len(s.now) < maxSuspects {
		s.now[address] = struct{}{}
	}
}

// have reports whether an address is remembered.
func (s *suspects) have(address string, now time.Time) bool {
	s.turn(now)
	_, ok := s.now[address]
	if !ok {
		_, ok = s.former[address]
	}
	return ok
}

// turn forgets the addresses whose time is over.
func (s *suspects) turn(now time.Time) {
	switch since := now.Sub(s.turned); {
	case since >= 2*suspectFor:
		s.now, s.former, s.turned = nil, nil, now
	case since >= suspectFor:
		s.now, s.former, s.turned = nil, s.now, now
	}
}
