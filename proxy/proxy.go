package proxy

import (
	"context"
	"errors"
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

// Identifier says whose token a request carries. *[auth.Authenticator] is one. Identify may wait for a control plane, bounded; its errors refuse the
// exchange. The other methods never wait. Recall returns what is known of a token in this process.
type Identifier interface {
	Recall(ctx context.Context, plane string, token auth.Token, address string) (auth.Identity, auth.TokenState)
	Identify(ctx context.Context, plane string, token auth.Token, address string) (auth.Identity, error)
	Doubt(hash [32]byte)
	Warm(plane string, token auth.Token)
	Forget(plane string, token auth.Token) (hash [32]byte)
	Known(plane string, token auth.Token) (hash [32]byte, ok bool)
}

// Limiter takes one unit of a quota, waiting for its turn within a bound. *[ratelimit.Turns] is one. An error means that nobody knows whether there is
// quota and that configuration says to refuse then.
type Limiter interface {
	TakeWithin(ctx context.Context, key string, q ratelimit.Quota, within time.Duration) (ratelimit.Result, time.Duration, error)
}

// Guesses slows those who guess. *[ratelimit.Failures] is one. Blocked never waits; it returns how long nothing more of key is tried, 0 where it may be.
type Guesses interface {
	Blocked(key string) time.Duration
	Failed(ctx context.Context, key string)
}

// Environments tells "production", "sandbox", "design" or "unknown" of an environment. *[auth.EnvironmentTypes] is one. Type may wait for a control plane,
// bounded.
type Environments interface {
	Type(ctx context.Context, who auth.Identity, token auth.Token, organization, environment string) string
}

// Statistics answers the Stats API from our own counts, in the media type that it returns. An *[objectstore.QueryError] is the client's fault; any
// other error is ours, [ErrStatisticsBusy] and [ErrStatisticsAway] in words of their own.
type Statistics interface {
	Answer(ctx context.Context, plane string, op objectstore.Operation, organizations []string, now time.Time) (body []byte, mediaType string, err error)
}

// Options are what the pipeline is made of. All of the first group are needed.
type Options struct {
	Regions    *regionmap.Map
	Identity   Identifier
	Policy     *policy.Policy
	Limiter    Limiter
	Pauses     *ratelimit.Pauses
	Guesses    Guesses
	Cache      *cache.Cache
	Statistics Statistics
	Keeper     record.Keeper
	Transport  Transport

	Quota          func(principal string) ratelimit.Quota // of a client ID or "user:<id>"; Rate 0: none
	CallLimiter    ratelimit.Limiter                      // counts Access Management calls; needed where CallRate has a Rate
	CallRate       ratelimit.Quota                        // of a token, and of an address without a known one; Rate 0: none
	Allowances     Allowances                             // nil: no part of a plane's allowance is kept for identification
	Override       *url.URL                               // where every upstream call goes instead, Host header kept; nil: https to the hosts of the table
	Accounts       bool                                   // pass Access Management calls on
	Timeout        time.Duration                          // for upstream's answer, as the transport has it; 0: 30 s
	MaxWait        time.Duration                          // for all turns of an exchange, an upstream 429 included; 0: its 429 is passed on at once
	Budget         ratelimit.Quota                        // of what asks upstream, over all clients; Rate 0: none
	BudgetBy       string                                 // what a budget is counted by, see [ratelimit.BudgetKey]
	Budgeted       func(bool, bool, time.Duration)        // told each decision of the budget: allowed, degraded, how long it waited; nil: nobody is
	MaxBody        int64                                  // bytes of a request body; 0: 11 MiB
	MaxExchanges   int                                    // at once; more are shed; 0: 10,000
	CountUpstream  bool                                   // the client quota counts what asks upstream alone, so that hits are free
	TrustedProxies []netip.Prefix                         // whose X-Forwarded-For is believed
	Origins        []string                               // whose pages may call from a browser, "*": any; empty: none
	Discovery      *regionmap.Discovery                   // finds stores that nothing places; nil: none is looked for
	Environments   Environments                           // tells the policy of environments; nil: their types are unknown
	SharedScope    bool                                   // cache entries serve every principal of an environment whose token holds a grant

	ServerTiming bool // tell clients each stage's milliseconds

	// Ambiguous reports whether a request was framed in more than one way, so that it is
	// refused and its connection closed. Nil: no request was. Identified is called with
	// each request whose client was identified. Nil: nothing is called. Many goroutines
	// call both.
	Ambiguous  func(*http.Request) bool
	Identified func(*http.Request)

	// RegionChanged is told when connections to a region no longer come about, and when they do again. Many goroutines call it; nil: nobody is told.
	RegionChanged func(regionmap.ReachState)

	// Trace gives an exchange its place in a trace, and says whether its spans are wanted. Parent is what the caller says, zero where it says nothing;
	// trusted says that the caller is one of TrustedProxies. Nil: nobody traces, and trace context passes through as it came.
	Trace func(parent record.Trace, trusted bool) record.Trace
}

const (
	maxBody      = 11 << 20
	maxExchanges = 10_000
	maxRefreshes = 64
	maxLessons   = 1_000

	// One in so many slots may be held by the strangers of one address. A burst of
	// refusals is cut off where it has more under way at once than that.
	servingShare, lingeringShare = 16, 8
)

// Proxy is the client-facing http.Handler. It is safe for concurrent use.
type Proxy struct {
	Options
	buffers   buffers
	reach     regionmap.Reach
	strangers Guesses       // by store
	refreshes chan struct{} // one for each refresh under way
	lessons   chan struct{} // one for each request for a store's TTL under way
	calls     callCounts
	exchanges underWay
	serving   *slots // of exchanges that may wait for something
	lingering *slots // of those that were refused, or answered before their request was read
	retiring  atomic.Bool
	draining  atomic.Bool
}

// New returns a Proxy, or an error if a part is missing.
func New(o Options) (*Proxy, error) {
	if o.Regions == nil || o.Identity == nil || o.Policy == nil || o.Limiter == nil || o.Pauses == nil || o.Guesses == nil ||
		o.Cache == nil || o.Statistics == nil || o.Keeper == nil || o.Transport.Shared == nil || o.Transport.Fresh == nil || o.Quota == nil {
		return nil, errors.New("proxy: a part of the pipeline is missing")
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
		Options: o, strangers: newStrangers(), exchanges: newUnderWay(),
		refreshes: make(chan struct{}, maxRefreshes), lessons: make(chan struct{}, maxLessons),
		serving: newSlots(o.MaxExchanges, servingShare), lingering: newSlots(max(1, o.MaxExchanges/lingerShare), lingeringShare),
	}, nil
}

// ServeHTTP implements [http.Handler].
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := p.begin(w, r)
	defer x.end()
	p.serve(x)
	p.linger(x)
}

// serve is the life of a request. Every exchange passes these stages in this order; the first error ends it, and record sees them all.
func (p *Proxy) serve(x *exchange) {
	defer p.record(x)
	err := p.admit(x) // is it a request that anyone may make?
	if err == nil && greets(x.r) {
		if err = p.greet(x); err == nil { // it was about the gateway itself
			return
		}
	}
	if err == nil {
		err = p.locate(x) // what is asked, and where does it go?
	}
	if err == nil {
		err = p.identify(x) // who asks, and is there room?
	}
	if err == nil {
		err = p.authorize(x) // may they?
	}
	if err == nil {
		err = p.limit(x) // may they now?
	}
	if err == nil {
		err = p.discover(x) // where is it, if nothing said so?
	}
	if err == nil {
		err = p.answer(x) // can we say ourselves?
	}
	if err == nil && !x.answered {
		err = p.forward(x) // ask Object Store, and copy what it says
	}
	if err != nil {
		p.refuse(x, err)
	}
}

// Retire has every client close its connection with the next answer, so that it opens one to somebody else. It cannot be undone.
func (p *Proxy) Retire() { p.retiring.Store(true) }

// Drain makes the proxy refuse new exchanges with 503; those under way go on. It cannot be undone.
func (p *Proxy) Drain() { p.draining.Store(true) }
