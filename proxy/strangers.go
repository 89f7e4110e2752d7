package proxy

import (
	"net/http"
	"strings"
	"time"

	"osgate/ratelimit"
	"osgate/record"
)

// strangerRefusals is the quota of writes of strangers that Object Store may refuse in
// one store, for each organization that they come from: while such a write is under
// way, reads of the store bypass the cache.
var strangerRefusals = ratelimit.Quota{Rate: 1, Period: time.Second, Burst: 10}

// newStrangers returns a count of the refused writes of strangers, for this process
// only.
func newStrangers() Guesses {
	return ratelimit.NewFailures(ratelimit.NewLocal(ratelimit.LocalOptions{}), strangerRefusals)
}

// limitStranger refuses the write of a stranger to a store where too many writes of its
// organization have been refused. It runs before the write is marked, and only for
// strangers. A write that upstream accepts is never counted.
func (p *Proxy) limitStranger(x *exchange) error {
	if !x.stranger() {
		return nil
	}
	wait := p.strangers.Blocked(x.strangerKey())
	if wait == 0 {
		return nil
	}
	return refusal{
		code: record.CodeOverQuota, retryAfter: wait, violated: policyStrangers,
		detail: "Object Store refused too many writes to this store by clients that are not members of the organization",
	}
}

// refusedStranger counts a stranger's write that upstream answered with 403.
func (p *Proxy) refusedStranger(x *exchange, status int) {
	if status == http.StatusForbidden && x.mark != nil && x.stranger() {
		p.strangers.Failed(x.r.Context(), x.strangerKey())
	}
}

// strangerKey identifies a store and the organization of the stranger that writes to
// it. So the clients of one organization count together, and do not affect another
// organization. No part contains a "|".
func (x *exchange) strangerKey() string {
	home := x.rec.Principal
	if len(x.identity.Organizations) > 0 {
		home = x.identity.Organizations[0]
	}
	ref := x.op.Ref
	return strings.Join([]string{x.location.String(), ref.Organization, ref.Environment, ref.Store, home}, "|")
}
