package proxy

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"osgate/auth"
	"osgate/cache"
	"osgate/cache/httpcache"
	"osgate/objectstore"
	"osgate/ratelimit"
	"osgate/record"
	"osgate/regionmap"
)

// exchange is one request with its answer: each stage stores its results here for the
// next ones. It belongs to the goroutine that serves it.
type exchange struct {
	w   *responseWriter
	r   *http.Request
	rec record.Exchange

	client netip.Addr // the client's address, behind the trusted proxies
	slot   slot

	// locate
	path, query string // raw, without the gateway's path prefix
	forceQuery  bool   // the target has a "?", even if the query is empty
	op          objectstore.Operation
	call        auth.Call
	location    regionmap.Location // Region is empty if only the plane matters, and until discover has found it
	discovered  bool               // only discovery finds the region

	// identify
	token    auth.Token
	identity auth.Identity
	caller   string // of an Access Management call: the token or address that it counts for

	// limit
	quota  ratelimit.Quota
	result ratelimit.Result

	// upstream's own 429s: their number, when the first arrived, and the time waited
	// before
	upstream429s    int
	first429At      time.Time
	waitedBefore429 time.Duration

	// answer
	question cache.Question
	search   *cache.Search // the prepared cache lookup; nil: no lookup
	status   httpcache.Status
	fill     *cache.Fill
	sent     time.Time               // when the latest attempt was sent
	answered bool                    // by the gateway itself; the request is not forwarded
	recordTo chan<- *record.Exchange // receives the record of x when a refresh follows it; nil: no refresh
	stale    *cache.Result           // stored answer that replaces one that failed; nil: none

	// forward
	admission     regionmap.Admission
	usesAllowance bool // a call is under way that uses the plane's allowance
	body          *requestBody
	judging       *judging // of a body too long to be judged before it is sent; nil: not needed
	mark          *cache.Mark
	lease         *lease // of mark
	reply         *replyBody
	failure       error // why there was no answer from upstream

	connected atomic.Bool // a request had a connection to upstream: bytes may have been sent

	origins    bool   // OSGATE_CORS_ORIGINS lists at least one origin
	origin     string // of the page that sent the request, if it is allowed
	unrecorded bool   // a health probe: no record is kept

	closing  bool // make the client close its connection
	noAnswer bool // end the connection or the stream without an answer
	timing   bool // send Server-Timing
	stage    record.Stage
	entered  time.Time
}

// begin starts an exchange.
func (p *Proxy) begin(w http.ResponseWriter, r *http.Request) *exchange {
	now := time.Now()
	x := &exchange{r: r, entered: now, w: newResponseWriter(w), timing: p.ServerTiming, closing: p.retiring.Load()}
	x.rec = record.Exchange{ID: requestID(r.Header), Start: now, Method: r.Method, Surface: record.SurfaceNone, RemoteAddr: peer(r)}
	x.rec.Protocol, _, _ = strings.Cut(via(r.ProtoMajor, r.ProtoMinor), " ")
	address := peerAddress(r)
	p.trace(x, address)
	x.client = clientAddress(address, r.Header["X-Forwarded-For"], p.TrustedProxies)
	if x.client.IsValid() {
		x.rec.ClientAddr = x.client.String()
	}
	declineUpgrade(r.Header)
	x.origins, x.origin = len(p.Origins) > 0, p.allowedOrigin(r.Header)
	x.body = newRequestBody(w, withDeclaredLength(r), p.MaxBody)
	x.w.body = x.body
	x.takeDeadlines()
	return x
}

// declineUpgrade ignores the offer of another protocol, as any server may (RFC 9110
// section 7.8): the request is served in the protocol that it arrived in. ReverseProxy
// would forward the offer, or refuse one that it cannot parse.
func declineUpgrade(h http.Header) {
	delete(h, "Upgrade")
	delete(h, "Http2-Settings")
}

// takeDeadlines makes the gateway, and not net/http, set the deadlines of the exchange
// and decide in which order to read and write. Without full duplex net/http reads the
// rest of a request before it writes the answer, and without a deadline.
func (x *exchange) takeDeadlines() {
	conn := http.NewResponseController(x.w)
	clearDeadlines(conn, x.r)
	if x.body.pending() {
		_ = conn.EnableFullDuplex() // fails for a test's connection, which does not need it
	}
}

// peer returns the address of the connection's other end.
func peer(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// enter records that stage s begins and that the stage before it has ended.
func (x *exchange) enter(s record.Stage) {
	now := time.Now()
	x.rec.Stages[x.stage] += now.Sub(x.entered)
	x.stage, x.entered = s, now
	x.rec.Timeline.Enter(s, now.Sub(x.rec.Start))
}

// left reports whether the client has closed its connection or stream.
func (x *exchange) left() bool { return x.r.Context().Err() == context.Canceled }

// objectStore reports whether the exchange is an Object Store operation. Only those are
// limited, cached and counted.
func (x *exchange) objectStore() bool { return x.rec.Surface == record.SurfaceObjectStore }
