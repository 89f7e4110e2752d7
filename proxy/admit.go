package proxy

import (
	"crypto/rand"
	"net/http"
	"strings"
	"time"

	"osgate/record"
)

// pseudonym is the gateway's name in Via, Cache-Status and Proxy-Status.
const pseudonym = "osgate"

// admit refuses requests that need no other stage: those that passed this gateway
// before, and methods that are not forwarded. Neither admit nor locate waits, so that
// they need no slot.
func (p *Proxy) admit(x *exchange) error {
	p.exchanges.add(x.r.Method, 1)
	if err := p.checkFraming(x); err != nil { // first, because the connection must end
		return err
	}
	h := x.r.Header
	switch {
	case p.draining.Load():
		return refusal{code: record.CodeDraining, detail: "this gateway is shutting down; send the request to another replica", retryAfter: time.Second}
	case passedBefore(h["Via"]):
		return refusal{code: record.CodeLoop, detail: "this request has passed this gateway before; its upstream leads back to it"}
	case x.r.Method == http.MethodConnect || x.r.Method == http.MethodTrace:
		return refusal{code: record.CodeBadRequest, detail: "method " + x.r.Method + " is not served"}
	case x.r.ContentLength > p.MaxBody:
		return tooLarge(p.MaxBody)
	}
	return nil
}

// passedBefore reports whether one of the Via values (RFC 9110 section 7.6.3) contains
// our pseudonym.
func passedBefore(via []string) bool {
	for _, value := range via {
		for hop := range strings.SplitSeq(value, ",") {
			if fields := strings.Fields(hop); len(fields) > 1 && strings.EqualFold(fields[1], pseudonym) {
				return true
			}
		}
	}
	return false
}

// maxRequestID bounds the length of a request id that a client or upstream chose.
const maxRequestID = 64

// requestID returns the client's X-Request-Id if it is short and plain, and a new id
// otherwise.
func requestID(h http.Header) string {
	if id := plainID(h.Get("X-Request-Id")); id != "" {
		return id
	}
	return strings.ToLower(rand.Text())
}

// plainID returns id if it is short and plain, and "" otherwise.
func plainID(id string) string {
	odd := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r))
	}
	if len(id) > maxRequestID || strings.ContainsFunc(id, odd) {
		return ""
	}
	return id
}
