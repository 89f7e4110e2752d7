package admin

import (
	"math"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// guard says who may come in.
type guard struct {
	token    Token
	loopback bool
	refused  func(tooMany bool) // called for each wrong token; nil: no call
	tries    tries
	log      wrongLog
}

func newGuard(o Options) *guard {
	return &guard{token: o.Token, loopback: o.Loopback, refused: o.Refused, log: wrongLog{logger: o.Logger}}
}

// checkHost refuses, on loopback, requests that call us by another name: a page of a stranger whose name was made to point at 127.0.0.1 (DNS
// rebinding) is of the same origin to the browser.
func (g *guard) checkHost(next http.Handler) http.Handler {
	if !g.loopback {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopbackHost(r.Host) {
			problem{
				Code: "bad-host", Status: http.StatusForbidden,
				Detail: "this listener is for this machine alone; call it localhost or by a loopback address",
			}.write(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// loopbackHost reports whether host, with or without a port, is localhost or an address of 127.0.0.0/8 or [::1].
func loopbackHost(host string) bool {
	name := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if h, port, err := net.SplitHostPort(host); err == nil {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return false
		}
		name = h
	}
	if strings.EqualFold(name, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.Unmap().IsLoopback()
}

// checkOrigin refuses what another site's page makes a browser do.
func (g *guard) checkOrigin(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		problem{Code: "cross-origin", Status: http.StatusForbidden, Detail: "a page of another origin sent this"}.write(w)
	}))
	return protection.Handler(next)
}

// require lets through whoever has the token or a session, everybody where there is no token.
func (g *guard) require(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ok, wait := g.admits(r)
		switch {
		case ok:
			next.ServeHTTP(w, r)
		case wait > 0:
			tooManyTries(w, wait)
		default:
			w.Header().Set("WWW-Authenticate", `Bearer realm="osgate admin"`)
			problem{Code: "unauthorized", Status: http.StatusUnauthorized, Detail: "send Authorization: Bearer and the admin token, or log in at /"}.write(w)
		}
	})
}

// orLogin is require for the page: who may not see it is shown the login form in its place.
func (g *guard) orLogin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ok, _ := g.admits(r); ok {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="osgate admin"`)
		sendLogin(w, http.StatusUnauthorized, "")
	})
}

// admits reports whether r comes from somebody who may see everything. If r has a wrong
// token beyond what its address may send, wait is how long that address has to wait.
func (g *guard) admits(r *http.Request) (ok bool, wait time.Duration) {
	now := time.Now()
	g.log.flush(now)
	if g.token == "" || g.inSession(r, now) {
		return true, 0
	}
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return false, 0
	}
	return g.try(r, strings.TrimSpace(given), now)
}

// try compares a token with ours, and counts a wrong one against its address. The right
// one is always accepted: that guesses come to nothing is the work of the token's length.
func (g *guard) try(r *http.Request, given string, now time.Time) (ok bool, wait time.Duration) {
	if g.token.is(given) {
		return true, 0
	}
	from, _ := netip.ParseAddrPort(r.RemoteAddr) // what is no address counts as the zero one
	wait = g.tries.wrong(from.Addr(), now)
	g.log.add(from.Addr(), now)
	if g.refused != nil {
		g.refused(wait > 0)
	}
	return false, wait
}

func tooManyTries(w http.ResponseWriter, wait time.Duration) {
	w.Header().Set("Retry-After", retryAfter(wait))
	problem{
		Code: "too-many-tries", Status: http.StatusTooManyRequests,
		Detail: "this is not the admin token, and too many wrong ones came from this address before",
	}.write(w)
}

// retryAfter writes wait in whole seconds, rounded up (RFC 9110 section 10.2.3).
func retryAfter(wait time.Duration) string { return strconv.Itoa(int(math.Ceil(wait.Seconds()))) }
