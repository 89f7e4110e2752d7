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
	"osgate/objectstore"
	"osgate/ratelimit"
	"osgate/record"
	"osgate/regionmap"
)

// exchange is one request and its answer in our hands: what each stage learned, for those after it. It belongs to the goroutine that serves it.
type exchange struct {
	w   *responseWriter
	r   *http.Request
	rec record.Exchange

	client netip.Addr // where the request comes from, behind the proxies that are believed
	slot   slot       // what it holds of the proxy's room

	// locate
	path, query string // raw, without the gateway's prefix
	asks        bool   // there is a "?", maybe with nothing behind it
	op          objectstore.Operation
	call        auth.Call
	location    regionmap.Location // Region is empty for what belongs to a plane alone, and until discover has found it
	discovered  bool               // nothing but discovery says where it is

	// identify
	token  auth.Token
	who    auth.Identity
	caller string // of an Access Management call: whom it counts for

	// limit
	quota  ratelimit.Quota
	result ratelimit.Result

	// upstream's own 429s: how many, when the first came, and what had been waited before
	pushedBack  int
	pushedAt    time.Time
	spentBefore time.Duration

	// answer
	question cache.Question
	look     *cache.Search // what the cache was asked ahead; nil: nothing
	status   cache.Status
	fill     *cache.Fill
	sent     time.Time               // when upstream was asked
	answered bool                    // by us; nothing is forwarded
	over     chan<- *record.Exchange // whoever refreshes what x was served takes its record here; nil: nobody does
	stale    *cache.Result           // stands in for an answer that failed; nil: nothing does

	// forward
	admission regionmap.Admission
	passing   bool // a call that spends the plane's allowance is under way
	body      *requestBody
	judge     *judging // of a body that is too long to be judged before it is sent; nil: not needed
	mark      *cache.Mark
	lease     *lease // of mark
	reply     *replyBody
	failure   error // why upstream gave no answer

	connected atomic.Bool // a request had a connection to upstream: bytes may have left

	origins    bool   // there are pages of other origins that may call
	origin     string // of the page that called, if it may
	unrecorded bool   // a probe, which nobody keeps account of

	closing bool // have the client close its connection
	severed bool // there is no room for an answer: the connection, or the stream, ends
	timing  bool // tell the client each stage's time
	stage   record.Stage
	entered time.Time
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
	x.ready()
	return x
}

// declineUpgrade ignores the offer of another protocol, as any server may (RFC 9110
// section 7.8): the request is served in the protocol that it came in. ReverseProxy would
// pass the offer on, or refuse one that it cannot read.
func declineUpgrade(h http.Header) {
	delete(h, "Upgrade")
	delete(h, "Http2-Settings")
}

// ready takes the deadlines of the exchange and the order of reading and writing into the
// gateway's own hands. Without full duplex net/http reads what is left of a request before
// it writes the answer, and without a deadline.
func (x *exchange) ready() {
	conn := http.NewResponseController(x.w)
	disarm(conn, x.r)
	if x.body.pending() {
		_ = conn.EnableFullDuplex() // a connection that has none (a test's) needs none
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

// enter notes that s begins and the stage before it is over.
func (x *exchange) enter(s record.Stage) {
	now := time.Now()
	x.rec.Stages[x.stage] += now.Sub(x.entered)
	x.stage, x.entered = s, now
	x.rec.Walk.Enter(s, now.Sub(x.rec.Start))
}

// left reports whether the client went away.
func (x *exchange) left() bool { return x.r.Context().Err() == context.Canceled }

// objectStore reports whether the exchange is an Object Store operation: what is limited, cached and counted.
func (x *exchange) objectStore() bool { return x.rec.Surface == record.SurfaceObjectStore }
