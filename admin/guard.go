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

// guard decides which requests are served.
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

// checkHost refuses, on loopback, requests whose Host header is another name. A page of
// an attacker whose domain name points to 127.0.0.1 (DNS rebinding) has the same origin
// as the listener for the browser.
func (g *guard) checkHost(next http.Handler) http.Handler {
	if !g.loopback {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopbackHost(r.Host) {
			problem{
				Code: "bad-host", Status: http.StatusForbidden,
				Detail: "this listener serves only this machine; use localhost or a loopback address as its name",
			}.write(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// loopbackHost reports whether host, with or without a port, is localhost or an address
// of 127.0.0.0/8 or [::1].
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

// checkOrigin refuses requests that a page of another site makes a browser send.
func (g *guard) checkOrigin(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		problem{
			Code: "cross-origin", Status: http.StatusForbidden,
			Detail: "the request comes from a page of another origin",
		}.write(w)
	}))
	return protection.Handler(next)
}

// require serves requests with the token or a session. If the guard has no token, it
// serves all requests.
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
			problem{
				Code: "unauthorized", Status: http.StatusUnauthorized,
				Detail: "send Authorization: Bearer with the admin token, or log in at /",
			}.write(w)
		}
	})
}

// orLogin protects the page. It sends the login form to requests without the token or a
// session.
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

// admits reports whether r may be served: it has the token or a session, or no token is
// set. If r has a wrong token and its address has sent too many, wait is how long that
// address has to wait.
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

// try compares a token with the admin token, and counts a wrong one against its
// address. The right token is always accepted; guessing is prevented by the length of
// the token.
func (g *guard) try(r *http.Request, given string, now time.Time) (ok bool, wait time.Duration) {
	if g.token.is(given) {
		return true, 0
	}
	from, _ := netip.ParseAddrPort(r.RemoteAddr) // an invalid address counts as the zero address
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
		Detail: "wrong admin token, and too many wrong tokens came from this address before",
	}.write(w)
}

// retryAfter formats wait as whole seconds, rounded up (RFC 9110 section 10.2.3).
func retryAfter(wait time.Duration) string { return strconv.Itoa(int(math.Ceil(wait.Seconds()))) }
