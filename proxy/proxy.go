// Package proxy handles a request from start to end: locate, identify, authorize,
// limit, answer, forward, and in every case record.
//
// [Proxy.serve] calls these stages in order, and every decision is made before the
// request is forwarded. A stage is a method in a file of its own. Its results are
// fields of the exchange, which is a parameter of every stage and not hidden in a
// context. An error from any stage becomes an answer in one place, refuse.go.
// [httputil.ReverseProxy] forwards; its hooks copy and make no decision.
//
// The features themselves are in other packages; this one only calls them in order.
package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"sync/atomic"
	"time"

	"osgate/auth"
	"osgate/cache"
	"osgate/objectstore"
	"osgate/policy"
	"osgate/ratelimit"
	"osgate/record"
	"osgate/regionmap"
)

// Identifier finds the identity that a token belongs to. *[auth.Authenticator] is one.
// Identify may wait for a control plane, for a bounded time; its errors refuse the
// exchange. The other methods never wait. Recall returns what this process knows about
// a token.
type Identifier interface {
	Recall(ctx context.Context, plane string, token auth.Token, address string) (auth.Identity, auth.TokenState)
	Identify(ctx context.Context, plane string, token auth.Token, address string) (auth.Identity, error)
	Doubt(hash [32]byte)
	Warm(plane string, token auth.Token)
	Forget(plane string, token auth.Token) (hash [32]byte)
	Known(plane string, token auth.Token) (hash [32]byte, ok bool)
}

// Limiter takes one unit of a quota, and waits for the turn for a bounded time.
// *[ratelimit.Turns] is one. An error means that the quota cannot be determined, and
// that the configuration requires a refusal in that case.
type Limiter interface {
	TakeWithin(
		ctx context.Context, key string, q ratelimit.Quota, within time.Duration,
	) (ratelimit.Result, time.Duration, error)
}

// Environments finds the type of an environment: "production", "sandbox", "design" or
// "unknown". *[auth.EnvironmentTypes] is one. Type may wait for a control plane, for a
// bounded time.
type Environments interface {
	Type(ctx context.Context, identity auth.Identity, token auth.Token, organization, environment string) string
}

// Statistics answers the Stats API from the gateway's own counts, in the media type
// that it returns. It does not judge whether the client is a member of the organization:
// authorize has done so. An *[objectstore.QueryError] is the client's error; any other error
// is the gateway's. [ErrStatisticsBusy] and [ErrStatisticsUnavailable] have answers of
// their own.
type Statistics interface {
	Answer(
		ctx context.Context, plane string, op objectstore.Operation, organizations []string, now time.Time,
	) (body []byte, mediaType string, err error)
}

// Options configure a [Proxy]. Every field of the first group is required, and so is
// Quota.
type Options struct {
	Regions    *regionmap.Map
	Identity   Identifier
	Policy     *policy.Policy
	Limiter    Limiter
	Pauses     *ratelimit.Pauses
	Guesses    *ratelimit.Failures // slows down clients that guess credentials
	Cache      *cache.Cache
	Statistics Statistics
	Keeper     record.Keeper
	Transport  Transport

	// Quota returns the quota of a client ID or "user:<id>". Rate 0: no quota. Required.
	Quota func(principal string) ratelimit.Quota

	// CountUpstream makes the client quota count upstream requests only: hits are free.
	CountUpstream bool

	// Budget is the quota of upstream requests, over all clients. Rate 0: no budget.
	// BudgetBy selects the key that it is counted by, see [ratelimit.BudgetKey].
	// Budgeted is called with each of its decisions: allowed, degraded, and the time
	// waited. Nil: no call.
	Budget   ratelimit.Quota
	BudgetBy string
	Budgeted func(bool, bool, time.Duration)

	// MaxWait bounds all waiting of an exchange, also after an upstream 429. 0: an
	// upstream 429 is passed on at once.
	MaxWait time.Duration

	// Accounts makes the gateway forward Access Management calls. CallRate is the quota
	// of those of one token, or of one address without a known token; Rate 0: no quota.
	// CallLimiter counts them; it is required if CallRate has a Rate.
	Accounts    bool
	CallRate    ratelimit.Quota
	CallLimiter ratelimit.Limiter

	// Brokering serves clients without an Anypoint credential. Nil: there are none.
	Brokering *Brokering

	// TokenMethod is how Identity validates tokens, for the record.
	TokenMethod auth.Method

	// Allowances keep a part of each plane's allowance for identification. Nil: no part.
	Allowances Allowances

	// Override receives every upstream request, with the original Host header. Nil: https
	// to the hosts of the region map.
	Override *url.URL

	Timeout      time.Duration // for upstream's answer, equal to the transport's; 0: 30 s
	MaxBody      int64         // bytes of a request body; 0: 11 MiB
	MaxExchanges int           // at once; further ones are shed; 0: 10,000

	// TrustedProxies are the proxies whose X-Forwarded-For is trusted.
	TrustedProxies []netip.Prefix

	// Origins are the origins of pages that may send requests from a browser. "*": any;
	// empty: none.
	Origins []string

	// Discovery finds the region of a store if neither the request nor the configuration
	// names it. Nil: no discovery.
	Discovery *regionmap.Discovery

	// Environments finds the types of environments for the policy. Nil: they are unknown.
	Environments Environments

	// SharedScope lets a cache entry answer every principal of an environment whose token
	// holds a grant.
	SharedScope bool

	// ServerTiming sends clients the milliseconds of each stage.
	ServerTiming bool

	// Ambiguous reports whether a request was framed in more than one way, so that it is
	// refused and its connection closed. Nil: no request was. Identified is called with
	// each request whose client was identified. Nil: no call. Many goroutines call both.
	Ambiguous  func(*http.Request) bool
	Identified func(*http.Request)

	// RegionChanged is called when connections to a region begin to fail, and when they
	// succeed again. Many goroutines call it; nil: no call.
	RegionChanged func(regionmap.ReachState)

	// Trace returns the trace context of an exchange, and whether its spans are
	// recorded. Parent is the client's trace context, zero if it sent none; trusted
	// reports whether the peer is one of TrustedProxies. Nil: no tracing, and the
	// client's trace context is forwarded unchanged.
	Trace func(parent record.Trace, trusted bool) record.Trace
}

const (
	maxBody        = 11 << 20
	maxExchanges   = 10_000
	maxRefreshes   = 64
	maxTTLRequests = 1_000

	// The share of the slots that unidentified exchanges of one address may hold: one
	// in so many. A burst of refusals is cut off if it has more than that under way at
	// once.
	servingShare, lingeringShare = 16, 8
)

// Proxy is the client-facing http.Handler. It is safe for concurrent use.
type Proxy struct {
	Options
	buffers     buffers
	reach       regionmap.Reach
	strangers   *ratelimit.Failures // refused writes of strangers, by store
	refreshes   chan struct{}       // one element for each refresh under way
	ttlRequests chan struct{}       // one element for each request for a store's TTL under way
	calls       callCounts

	refusedCredentials credentialRefusals

	exchanges underWay
	serving   *slots // for exchanges that may wait
	lingering *slots // for exchanges that are refused, or answered before their request was read
	retiring  atomic.Bool
	draining  atomic.Bool
}

// New returns a Proxy, or an error if a required option is missing.
func New(o Options) (*Proxy, error) {
	if o.Regions == nil || o.Identity == nil || o.Policy == nil || o.Limiter == nil || o.Pauses == nil ||
		o.Guesses == nil || o.Cache == nil || o.Statistics == nil || o.Keeper == nil ||
		o.Transport.Shared == nil || o.Transport.Fresh == nil || o.Quota == nil {
		return nil, errors.New("proxy: a required option is missing")
	}
	if o.Timeout == 0 {
		o.Timeout = upstreamTimeout
	}
	if o.MaxBody == 0 {
		o.MaxBody = maxBody
	}
	if o.MaxExchanges == 0 {
		o.MaxExchanges = maxExchanges
	}
	return &Proxy{
		Options: o, strangers: ratelimit.NewFailures(ratelimit.NewLocal(ratelimit.LocalOptions{}), strangerRefusals),
		exchanges: make(underWay, len(methods)+1),
		refreshes: make(chan struct{}, maxRefreshes), ttlRequests: make(chan struct{}, maxTTLRequests),
		serving:   newSlots(o.MaxExchanges, servingShare),
		lingering: newSlots(max(1, o.MaxExchanges/lingerShare), lingeringShare),
	}, nil
}

// ServeHTTP implements [http.Handler].
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := p.begin(w, r)
	defer x.end()
	p.serve(x)
	p.linger(x)
}

// serve handles one request. Every exchange passes these stages in this order. The
// first error ends it, and record runs in every case.
func (p *Proxy) serve(x *exchange) {
	defer p.record(x)
	err := p.admit(x)             // is this a request that any client may send?
	if err == nil && x.answered { // it was for the gateway itself
		return
	}
	if err == nil {
		err = p.locate(x) // which operation is it, and which region has the store?
	}
	if err == nil {
		err = p.identify(x) // which client sent it, and is a slot free?
	}
	if err == nil {
		err = p.authorize(x) // does policy permit the operation?
	}
	if err == nil {
		err = p.limit(x) // does the client's quota permit it now?
	}
	if err == nil {
		err = p.discover(x) // find the region if it is still unknown
	}
	if err == nil {
		err = p.answer(x) // answer from the cache or our own statistics
	}
	if err == nil && !x.answered {
		err = p.forward(x) // send it upstream, and copy the answer back
	}
	if err != nil {
		p.refuse(x, err)
	}
}

const (
	// refusalTime bounds how long a client may take to read a refusal.
	refusalTime = 10 * time.Second

	// lingerBytes and lingerTime bound how much of a request is read after its answer.
	// So a client that sends the whole request before it reads can still read the
	// answer.
	lingerBytes = 12 << 20
	lingerTime  = 5 * time.Second

	// expectTime replaces lingerTime for a client that waits for "100 Continue". It
	// gets the answer instead, so it sends no body, and closes the connection.
	expectTime = 500 * time.Millisecond

	// lingerShare is the number of serving slots for each slot of refused exchanges.
	lingerShare = 2
)

// moveToLingering frees the slot of a refused exchange, and takes one of the slots for
// exchanges whose answers are being written and whose requests are read to the end. It
// reports whether there was one; if not, the client gets no answer. An HTTP/1 refusal
// whose request was read needs no slot, because it does not wait: it is shorter than
// the socket buffer of the connection.
func (p *Proxy) moveToLingering(x *exchange) bool {
	if x.slot.of == p.lingering {
		return true
	}
	x.slot.free()
	if x.r.ProtoMajor == 1 && !x.body.pending() {
		return true
	}
	s, short := p.lingering.take(x.slot.class, x.neighborhood())
	if short != noShortage {
		return false
	}
	x.slot = s
	return true
}

// linger ends an exchange on an HTTP/1 connection whose request was not read to its
// end. It sends the answer first, while the exchange holds no serving slot. Then it
// reads the rest of the request, bounded, so that the connection can be reused; if the
// end does not arrive, it closes the connection. An HTTP/2 stream carries no other
// request: net/http resets it after the answer (RFC 9113 section 8.1).
func (p *Proxy) linger(x *exchange) {
	switch {
	case x.noAnswer:
		panic(http.ErrAbortHandler) // makes net/http close the connection or reset the stream
	case !x.body.pending():
		x.flushStream()
		return
	}
	room := p.moveToLingering(x)
	flushed := http.NewResponseController(x.w).Flush() == nil
	if room && flushed && x.body.drain(x.expectsContinue()) || x.w.Header().Get("Connection") == "close" {
		return
	}
	panic(http.ErrAbortHandler)
}

// flushStream sends the answer to an unidentified client on an HTTP/2 stream while the
// exchange holds its slot. net/http would send it after the exchange, and would wait
// there for a client that opens no window (RFC 9113 section 5.2).
func (x *exchange) flushStream() {
	if x.r.ProtoMajor > 1 && x.slot.class == unidentified {
		_ = http.NewResponseController(x.w).Flush() // an error means that the client has left
	}
}

// expectsContinue reports whether the client waits for "100 Continue" before it sends
// its body (RFC 9110 section 10.1.1), and has not been sent it.
func (x *exchange) expectsContinue() bool {
	return x.r.Header.Get("Expect") != "" && x.body.count.Load() == 0
}

// drain reads the rest of the body and reports whether it reached the end. Awaited
// means that the client has not begun to send the body.
func (b *requestBody) drain(awaited bool) (whole bool) {
	within := lingerTime
	if awaited {
		within = expectTime
	}
	b.closed.Store(true)
	b.setDeadline(time.Now().Add(within))
	_, err := io.CopyN(io.Discard, b.raw, lingerBytes)
	if errors.Is(err, io.EOF) {
		b.whole.Store(true)
	}
	return b.whole.Load()
}

// Retire makes every client close its connection after the next answer, so that it
// connects to another replica.
func (p *Proxy) Retire() { p.retiring.Store(true) }

// Resume ends the effect of Retire.
func (p *Proxy) Resume() { p.retiring.Store(false) }

// Drain makes the proxy refuse new exchanges with 503; those under way go on. It cannot
// be undone.
func (p *Proxy) Drain() { p.draining.Store(true) }
