package auth

import (
	"encoding/hex"
	"net/http"
	"time"
)

// reservedPart is the part of a plane's allowance that clients' calls leave for
// identification: a quarter.
const reservedPart = 4

// report is the plane's allowance in the latest answer to a caller.
type report struct {
	caller string
	Allowance
}

// low reports whether no more than the reserved part is left at now, with the calls
// under way counted as spent.
func (s report) low(underWay int, now time.Time) bool {
	reserve := (s.Limit + reservedPart - 1) / reservedPart
	return now.Before(s.Reset) && s.Remaining-underWay <= reserve
}

// note stores the allowance in an answer to caller, and keeps the latest one of another
// caller.
func (p *plane) note(caller string, result Allowance) {
	if p.reports[0].caller != caller {
		p.reports[1] = p.reports[0]
	}
	p.reports[0] = report{caller, result}
}

// reserved returns for how long the rest of the allowance is reserved for caller's
// calls; 0: it is not reserved.
//
// It is not documented for whom Access Management counts a request. If it counts this
// gateway as a whole, the latest answers to any two callers report the same. If it
// counts each client, a report concerns that client only. So a low report to one caller
// holds for that caller alone, and low reports to two callers hold for all.
func (p *plane) reserved(caller string, now time.Time) (wait time.Duration) {
	all := true
	for _, s := range p.reports {
		low := s.low(p.calls+p.lookups, now)
		if low && s.caller == caller {
			return s.Reset.Sub(now)
		}
		all = all && low
	}
	if !all {
		return 0
	}
	return p.reports[0].Reset.Sub(now)
}

// Known returns the hash of a token, as in [Identity], and whether the plane has named
// its principal within the time for which that allows forwarding. It sends no request
// and does not wait.
func (a *Authenticator) Known(plane string, token Token) (hash [32]byte, ok bool) {
	hash = a.digests.of(plane, token)
	v, found := a.known.GetIfPresent(hash)
	return hash, found && v.usable(time.Now())
}

// BeginCall returns 0 if a call of caller may be sent to plane; [Authenticator.EndCall]
// must then be called once when the call is over. Otherwise, it returns for how long
// calls of this caller are refused, because the rest of the plane's allowance is
// reserved for identification. Caller is any name; for a token it is [CallerOf] its
// hash. BeginCall does not wait.
func (a *Authenticator) BeginCall(plane, caller string) (wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.entry(plane)
	if wait = p.reserved(caller, time.Now()); wait == 0 {
		p.calls++
	}
	return wait
}

// EndCall ends a call that BeginCall permitted, and stores the allowance in its
// answer's header; a nil header means that there was no answer.
func (a *Authenticator) EndCall(plane, caller string, answer http.Header) {
	result := allowance(answer)
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.entry(plane)
	p.calls--
	if result.Limit > 0 {
		p.note(caller, result)
	}
}

// NoteAllowance stores the allowance in an answer to a request, other than a lookup,
// that the gateway sent with a token.
func (a *Authenticator) NoteAllowance(plane string, token Token, answer http.Header) {
	caller, result := CallerOf(a.digests.of(plane, token)), allowance(answer)
	if result.Limit <= 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.entry(plane).note(caller, result)
}

// CallerOf returns the caller's name for a token with this hash.
func CallerOf(hash [32]byte) string { return "token " + hex.EncodeToString(hash[:]) }
