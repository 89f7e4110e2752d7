package broker

import (
	"errors"
	"slices"
	"strings"
	"time"
)

// Reason is why the gateway's credential does not work, or not for all requests.
type Reason string

// The reasons. The empty Reason is none.
const (
	Unavailable      Reason = "unavailable"       // the token endpoint does not answer
	ClientRefused    Reason = "client-refused"    // it refuses the connected app or its secret, or that cannot be read
	TokenRefused     Reason = "token-refused"     // upstream answers 401 to new tokens
	OperationRefused Reason = "operation-refused" // upstream answers 403: the app lacks a right
)

// State is the state of the gateway's credential on a plane. It contains no secret.
type State struct {
	Plane string
	// OK is false if no request can be sent upstream: there is no token, or upstream
	// refuses it. With TokenRefused it becomes true only after a request succeeded.
	OK        bool
	Reason    Reason    // set also while OK, if mints fail or operations are refused
	Since     time.Time // when OK or Reason changed
	LastError string    // of the latest failure; empty if Reason is
	Expires   time.Time // of the token in use; zero: there is none
	// RetryAfter is the time until the next mint; 0 if none failed.
	RetryAfter time.Duration
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
	s := State{Plane: p.name, Since: p.state.Since}
	h := p.held.Load()
	if h.fresh(now) {
		s.Expires = h.at.Add(h.life)
	}
	s.Reason, s.LastError = p.trouble(now)
	s.OK = !p.refused && (h.fresh(now) || p.failure == nil)
	if p.failure != nil {
		s.RetryAfter = p.wait(now)
	}
	if s.OK != p.state.OK || s.Reason != p.state.Reason {
		s.Since = now
	}
	return s
}

// trouble returns the reason and its error at now.
func (p *plane) trouble(now time.Time) (Reason, string) {
	switch {
	case p.refused && (p.failure == nil || errors.Is(p.failure, errRefused)):
		return TokenRefused, errRefused.Error()
	case p.failure != nil:
		if _, ok := errors.AsType[*CredentialError](p.failure); ok {
			return ClientRefused, p.failure.Error()
		}
		return Unavailable, p.failure.Error()
	case !p.forbidden.IsZero() && now.Sub(p.forbidden) < forbiddenFor:
		return OperationRefused, "upstream answered 403 to the gateway's token"
	}
	return "", ""
}

// note records the state of p after an event, and a change of it for OnChange. The
// caller holds mu and then calls notify.
func (t *Tokens) note(p *plane) {
	now := time.Now()
	first := p.state.Since.IsZero()
	s := p.snapshot(now)
	changed := s.OK != p.state.OK || s.Reason != p.state.Reason
	p.state = s
	if changed && !(first && s.OK && s.Reason == "") && t.options.OnChange != nil {
		t.changes.Add(s)
	}
}

// remind notes the state of p again after d, when a refused operation may be over. The
// caller holds mu.
func (t *Tokens) remind(p *plane, d time.Duration) {
	if p.reminder == nil {
		p.reminder = time.AfterFunc(d, func() {
			t.mu.Lock()
			t.note(p)
			t.mu.Unlock()
			t.notify()
		})
		return
	}
	p.reminder.Reset(d)
}

// notify calls OnChange for the changes not yet reported, without holding mu, so that it
// may call States.
func (t *Tokens) notify() {
	if t.options.OnChange != nil {
		t.changes.Deliver(t.options.OnChange)
	}
}
