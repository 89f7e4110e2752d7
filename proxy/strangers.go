package proxy

import (
	"net/http"
	"strings"
	"time"

	"osgate/ratelimit"
)

// strangerRefusals is how many writes of strangers Object Store may refuse in one
// store, for each organization that they come from: while such a write is under way,
// reads of the store go past the cache.
var strangerRefusals = ratelimit.Quota{Rate: 1, Period: time.Second, Burst: 10}

// newStrangers counts the refused writes of strangers, in this process.
func newStrangers() Guesses {
	return ratelimit.NewFailures(ratelimit.NewLocal(ratelimit.LocalOptions{}), strangerRefusals)
}

// estrange refuses the write of a stranger to a store where too many of its
// organization's have been refused. It is asked before the write is marked, and only of
// strangers: what upstream accepts is never counted.
func (p *Proxy) estrange(x *exchange) error {
	if !x.stranger() {
		return nil
	}
	wait := p.strangers.Blocked(x.strangerKey())
	if wait == 0 {
		return nil
	}
	return refusal{
		code: codeOverQuota, retryAfter: wait, violated: policyStrangers,
		detail: "Object Store refused too many writes here of clients that are no members of the organization",
	}
}

// refusedStranger counts a write of a stranger that upstream answered 403.
func (p *Proxy) refusedStranger(x *exchange, status int) {
	if status == http.StatusForbidden && x.mark != nil && x.stranger() {
		p.strangers.Failed(x.r.Context(), x.strangerKey())
	}
}

// strangerKey names a store, and from where a stranger writes to it: its organization,
// so that the many clients of one count together, and those of another organization do
// not suffer from them. No part holds a "|".
func (x *exchange) strangerKey() string {
	home := x.rec.Principal
	if len(x.who.Organizations) > 0 {
		home = x.who.Organizations[0]
	}
	ref := x.op.Ref
	return strings.Join([]string{x.location.String(), ref.Organization, ref.Environment, ref.Store, home}, "|")
}
