package broker

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"
)

// Reason is why the gateway's credential does not work.
type Reason string

// The reasons. The empty Reason is none.
const (
	Unavailable   Reason = "unavailable"    // the token endpoint does not answer
	ClientRefused Reason = "client-refused" // it refuses the connected app or its secret, or that cannot be read
	TokenRefused  Reason = "token-refused"  // upstream answers 401 to new tokens
)

// State is the state of the gateway's credential on a plane. It contains no secret.
type State struct {
	Plane string
	// OK is false if no request can be sent upstream: there is no token, or upstream
	// refuses it. With TokenRefused it becomes true only after a request succeeded.
	OK        bool
	Reason    Reason    // set also while OK, if mints fail
	Since     time.Time // when OK or Reason changed
	LastError string    // of the latest failure; empty if Reason is
	Expires   time.Time // of the token in use; zero: there is none
	// RetryAfter is the time until the next mint; 0 if none failed.
	RetryAfter time.Duration
	// Forbidden are the environments in which upstream answered 403 in the last five
	// minutes: the connected app lacks a right there. Sorted, at most 8: others are not
	// remembered meanwhile.
	Forbidden []Place
}

// States returns the state of each plane that a token was minted or tried for, sorted
// by name.
func (t *Tokens) States() []State {
	t.mu.Lock()
	defer t.mu.Unlock()
	states := []State{}
	for _, p := range *t.planes.Load() {
		if !p.state.Since.IsZero() {
			states = append(states, p.snapshot(time.Now()))
		}
	}
	slices.SortFunc(states, func(x, y State) int { return strings.Compare(x.Plane, y.Plane) })
	return states
}

// snapshot returns the state of p at now.
func (p *plane) snapshot(now time.Time) State {
	s := State{Plane: p.name, Since: p.state.Since, Forbidden: p.forbidden.list(now)}
	h := p.held.Load()
	if h.fresh(now) {
		s.Expires = h.at.Add(h.life)
	}
	s.Reason, s.LastError = p.trouble()
	s.OK = !p.refused && (h.fresh(now) || p.failure == nil)
	if p.failure != nil {
		s.RetryAfter = p.wait(now)
	}
	if s.OK != p.state.OK || s.Reason != p.state.Reason {
		s.Since = now
	}
	return s
}

// trouble returns why the last token failed, and the error text.
func (p *plane) trouble() (Reason, string) {
	switch {
	case p.refused && (p.failure == nil || errors.Is(p.failure, errRefused)):
		return TokenRefused, errRefused.Error()
	case p.failure != nil:
		if _, ok := errors.AsType[*CredentialError](p.failure); ok {
			return ClientRefused, p.failure.Error()
		}
		return Unavailable, p.failure.Error()
	}
	return "", ""
}

// note records the state of p after an event, and a change of it for OnChange. The
// caller holds mu and then calls notify.
func (t *Tokens) note(p *plane) {
	now := time.Now()
	first := p.state.Since.IsZero()
	s := p.snapshot(now)
	changed := s.OK != p.state.OK || s.Reason != p.state.Reason || !slices.Equal(s.Forbidden, p.state.Forbidden)
	p.state = s
	if changed && !(first && s.Good()) && t.options.OnChange != nil {
		t.changes.Add(s)
	}
}

// Good reports whether the credential works everywhere, as far as is known.
func (s *State) Good() bool { return s.OK && s.Reason == "" && len(s.Forbidden) == 0 }

// remind notes the state of p again when the earliest environment in p.forbidden is
// forgotten. The caller holds mu.
func (t *Tokens) remind(p *plane, now time.Time) {
	end, ok := p.forbidden.end()
	if !ok || t.closed {
		return
	}
	if p.reminder == nil {
		p.reminder = time.AfterFunc(end.Sub(now), func() { t.forget(p) })
		return
	}
	p.reminder.Reset(end.Sub(now))
}

// forget forgets the environments of p whose time is over.
func (t *Tokens) forget(p *plane) {
	t.mu.Lock()
	now := time.Now()
	p.forbidden.sweep(now)
	t.note(p)
	t.remind(p, now)
	t.mu.Unlock()
	t.notify()
}

// notify calls OnChange for the changes not yet reported, without holding mu, so that it
// may call States.
func (t *Tokens) notify() {
	if t.options.OnChange != nil {
		t.changes.Deliver(t.options.OnChange)
	}
}

// Place is an environment of an organization, as a request names it.
type Place struct{ Organization, Environment string }

// maxForbidden limits the environments of a plane that are remembered: clients choose
// the names.
const maxForbidden = 8

// places are the environments in which upstream refused an operation, with the time of
// the last refusal. The zero value is empty. The lock of Tokens guards it.
type places struct{ refused map[Place]time.Time }

// add remembers at, and reports whether it was unknown. If there are too many, it does
// nothing.
func (s *places) add(at Place, now time.Time) bool {
	_, known := s.refused[at]
	if !known && len(s.refused) >= maxForbidden {
		return false
	}
	if s.refused == nil {
		s.refused = map[Place]time.Time{}
	}
	s.refused[at] = now
	return !known
}

// list returns the environments whose time is not over, sorted.
func (s *places) list(now time.Time) (all []Place) {
	for at, last := range s.refused {
		if now.Sub(last) < forbiddenFor {
			all = append(all, at)
		}
	}
	slices.SortFunc(all, func(x, y Place) int {
		return cmp.Or(cmp.Compare(x.Organization, y.Organization), cmp.Compare(x.Environment, y.Environment))
	})
	return all
}

// sweep forgets the environments whose time is over.
func (s *places) sweep(now time.Time) {
	for at, last := range s.refused {
		if now.Sub(last) >= forbiddenFor {
			delete(s.refused, at)
		}
	}
}

// end returns when the time of the first environment is over; false if there is none.
func (s *places) end() (earliest time.Time, ok bool) {
	for _, last := range s.refused {
		if end := last.Add(forbiddenFor); !ok || end.Before(earliest) {
			earliest, ok = end, true
		}
	}
	return earliest, ok
}
