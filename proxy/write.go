package proxy

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"osgate/cache"
	"osgate/cache/httpcache"
	"osgate/ratelimit"
	"osgate/record"
)

// markWrite marks a write in the cache before it is sent, and holds the mark until the
// exchange has concluded. If the mark cannot be renewed in time, which is an error in
// strict mode only, cancel cuts the write.
func (p *Proxy) markWrite(x *exchange, cancel context.CancelCauseFunc) error {
	if !x.objectStore() || !x.op.Writes() {
		return nil
	}
	// Our validators are weak, and If-Match compares strongly (RFC 9110 section
	// 13.1.1): they never match.
	if lines := x.r.Header["If-Match"]; len(lines) > 0 && len(httpcache.StripOwnETags(lines)) == 0 {
		return refusal{
			code: record.CodeBadRequest, status: http.StatusPreconditionFailed, title: "Precondition failed",
			detail: "If-Match contains an ETag of this gateway's cache, which cannot guard a write",
		}
	}
	if err := p.limitStranger(x); err != nil {
		return err
	}
	mark, err := p.Cache.Mark(x.r.Context(), x.question, time.Now())
	if err != nil {
		return refusal{
			code: record.CodeOverloaded, title: unsentTitle, detail: "the write could not be marked for the caches",
			cause: err, retryAfter: time.Second,
		}
	}
	x.lease = holdMark(x.r.Context(), mark, p.Timeout, func() {
		cancel(errUnrenewed)
		x.body.interrupt() // net/http waits until its read of the body returns
	})
	return nil
}

// interrupt ends the transport's Read if it waits for the client. It does nothing if
// the transport is done with the body or has read all of it: net/http then continues to
// read, to detect that the client leaves, and a read that fails would end the context
// of every later request on the connection.
func (b *requestBody) interrupt() {
	if b.closed.Load() || b.whole.Load() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.interrupted = true
	if !b.finished {
		_ = b.deadline.SetReadDeadline(time.Now())
	}
}

// unsentTitle is the title of a refused write of which no byte was sent upstream.
const unsentTitle = "Write not sent"

// strangerRefusals is the quota of writes of strangers that Object Store may refuse in
// one store, for each organization that they come from: while such a write is under
// way, reads of the store bypass the cache. Only this process counts them.
var strangerRefusals = ratelimit.Quota{Rate: 1, Period: time.Second, Burst: 10}

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

// conclude reports the outcome to the fill and the mark, once. Complete means that the
// end of the answer with this status was read.
func (x *exchange) conclude(complete bool, status int) {
	if x.fill != nil {
		x.fill.Close(complete)
		x.fill = nil
	}
	if x.lease != nil {
		x.lease.end(x.writeOutcome(complete, status))
		x.lease = nil
	}
}

// writeOutcome decides the outcome of x's write, for the end of its mark. Complete means
// that the end of upstream's answer with this status was read.
func (x *exchange) writeOutcome(complete bool, status int) cache.WriteOutcome {
	switch {
	case complete:
		return outcomeOf(status, x.stranger())
	case x.reply == nil && !x.connected.Load(): // it was never sent
		return cache.Refused
	}
	return cache.Unknown
}

// outcomeOf returns the outcome of a write with a complete answer from upstream. A 2xx
// means that it was applied. A 4xx except 408 means that it changed nothing and never
// will. Any other status leaves the outcome unknown.
//
// A 4xx about the state of the store (no such key, an existing key, a validator that
// does not match) may contradict a cached answer. Any other 4xx is about the client or
// the form of the request. For a stranger, a client that the control plane does not
// count among the members of the organization, a 404 is of this second kind: it may
// hide an existing resource.
func outcomeOf(status int, stranger bool) cache.WriteOutcome {
	switch {
	case status >= 200 && status < 300:
		return cache.Applied
	case status < 400 || status >= 500 || status == http.StatusRequestTimeout:
		return cache.Unknown
	case status == http.StatusNotFound && stranger:
		return cache.Refused
	}
	switch status {
	case http.StatusNotFound, http.StatusConflict, http.StatusGone, http.StatusPreconditionFailed:
		return cache.Mismatched
	}
	return cache.Refused
}

// stranger reports whether the client is not a member of the operation's organization,
// according to the control plane. That is a hint and no proof: only upstream decides on
// rights, and the control plane may not list all organizations that a client can use.
func (x *exchange) stranger() bool { return !x.identity.Member(x.op.Ref.Organization) }

// renewAgain is the pause after a failed renewal.
const renewAgain = time.Second

// errUnrenewed cuts a write whose mark could not be renewed.
var errUnrenewed = errors.New("the write's mark could not be renewed in time")

// lease holds the mark of a write that is under way: it renews the mark, and cuts the
// write if the renewals fail. The bytes that upstream has received take effect within
// spare, or never. So the write must end that long before the mark's deadline. Create it
// with [holdMark].
type lease struct {
	ctx   context.Context //nolint:containedctx // of the renewals
	mark  *cache.Mark
	spare time.Duration
	cut   func()
	timer *time.Timer
	ended atomic.Bool
}

// holdMark renews mark until the returned lease is ended. It calls cut, once or more
// and on a goroutine of its own, if mark could not be renewed and only spare is left
// until its deadline.
func holdMark(ctx context.Context, mark *cache.Mark, spare time.Duration, cut func()) *lease {
	l := &lease{ctx: ctx, mark: mark, spare: spare, cut: cut}
	l.timer = time.AfterFunc(time.Hour, l.renew)
	l.timer.Reset(l.remaining() / 2)
	return l
}

// remaining returns how long the write may continue without a renewal.
func (l *lease) remaining() time.Duration { return time.Until(l.mark.Deadline()) - l.spare }

// renew renews the mark, or cuts the write if it is too late for that. If a renewal is
// not over in time, the write is cut meanwhile.
func (l *lease) renew() {
	left := l.remaining()
	switch {
	case l.ended.Load():
		return
	case left <= 0:
		l.cut()
		return
	}
	late := time.AfterFunc(left, l.cut)
	err := l.mark.Renew(l.ctx)
	if !late.Stop() || l.ended.Load() {
		return
	}
	pause := l.remaining() / 2
	if err != nil {
		pause = min(renewAgain, l.remaining())
	}
	l.timer.Reset(pause)
}

// end ends the renewals and the mark.
func (l *lease) end(outcome cache.WriteOutcome) {
	l.ended.Store(true)
	l.timer.Stop()
	l.mark.Done(outcome)
}
