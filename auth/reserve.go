package auth

import (
	"encoding/hex"
	"net/http"
	"time"
)

// reservedPart is the part of a plane's allowance that calls which are passed on leave for
// identification: a quarter.
const reservedPart = 4

// report is the plane's allowance, as the latest answer to a caller reports it.
type report struct {
	caller string
	Allowance
}

// low reports whether no more than the reserved part is left at now, when the calls under
// way have been spent too.
func (s report) low(underWay int, now time.Time) bool {
	reserve := (s.Limit + reservedPart - 1) / reservedPart
	return now.Before(s.Reset) && s.Remaining-underWay <= reserve
}

// note keeps the allowance that an answer to caller reports, and the one before that was
// reported to another caller.
func (p *plane) note(caller string, result Allowance) {
	if p.reports[0].caller != caller {
		p.reports[1] = p.reports[0]
	}
	p.reports[0] = report{caller, result}
}

// reserved returns for how long what is left of the allowance is reserved, as far as caller
// is concerned; 0: it is not.
//
// It is not documented whom Access Management counts a request for. If it counts all of
// this gateway together, the latest answers to any two callers report the same. If it
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

// withheld returns for how long the plane is not asked about a token: while what is left of
// its allowance for this gateway is reserved, if all who wait for the answer use addresses
// that sent refused tokens a short time ago. Without that, one client that guesses would
// spend the reserve, and no new token of any client could be identified. 0: it is asked.
func (a *Authenticator) withheld(p *plane, q query, f *flight, now time.Time) time.Duration {
	if f.clean || !a.guards(q) {
		return 0
	}
	return p.reserved("", now)
}

// Known returns what stands for a token elsewhere, as in [Identity], and whether the plane
// has named whose it is, within the time for which that is good for forwarding. It asks
// nothing and does not wait.
func (a *Authenticator) Known(plane string, token Token) (hash [32]byte, ok bool) {
	hash = a.digests.of(plane, token)
	v, found := a.known.GetIfPresent(hash)
	return hash, found && v.usable(time.Now())
}

// Pass lets a call of caller go to plane: it returns 0, and [Authenticator.Passed] has to be
// called once when the call is over. Else it returns how long calls of this caller have to
// stay away, because what is left of the plane's allowance is reserved for identification.
// Caller is any name, of a token that of [CallerOf]. Pass does not wait.
func (a *Authenticator) BeginCall(plane, caller string) (wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.entry(plane)
	if wait = p.reserved(caller, time.Now()); wait == 0 {
		p.calls++
	}
	return wait
}

// Passed ends a call that Pass has let go, and notes the allowance that its answer's header
// reports; a nil header is no answer.
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

// Spent notes the allowance that an answer reports: one to a request, other than an asking,
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

// CallerOf names the caller that a token stands for.
func CallerOf(hash [32]byte) string { return "token " + hex.EncodeToString(hash[:]) }
