package proxy

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"slices"
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

	sender // set by begin and identify
	target // set by locate
	slot   slot

	// limit
	quota    ratelimit.Quota
	quotaKey string // empty: not made yet
	result   ratelimit.Result

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
	lease         *lease   // of a write that is marked and whose outcome is not decided; nil: none
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

	// the memory of w, of body and of header fields: an exchange is one allocation
	writer   responseWriter
	received requestBody
	lines    lines
}

// sender is the client of an exchange.
type sender struct {
	client   netip.Addr // its address, behind the trusted proxies
	address  string     // client as text; empty if it is invalid
	token    auth.Token
	identity auth.Identity
	caller   string // of an Access Management call: the token or address that it counts for
}

// target is what a request is for.
type target struct {
	path, query string // raw, without the gateway's path prefix
	forceQuery  bool   // the target has a "?", even if the query is empty
	op          objectstore.Operation
	call        auth.Call
	location    regionmap.Location // Region is empty if only the plane matters, and until discover has found it
	discovered  bool               // only discovery finds the region
}

// begin starts an exchange.
func (p *Proxy) begin(w http.ResponseWriter, r *http.Request) *exchange {
	now := time.Now()
	x := &exchange{r: withDeclaredLength(r), entered: now, timing: p.ServerTiming, closing: p.retiring.Load()}
	x.rec = record.Exchange{
		ID: requestID(r.Header), Start: now, Method: r.Method, Surface: record.SurfaceNone, RemoteAddr: peer(r),
	}
	x.rec.Protocol, _, _ = strings.Cut(via(r.ProtoMajor, r.ProtoMinor), " ")
	address := peerAddress(r)
	p.trace(x, address)
	x.client = clientAddress(address, r.Header["X-Forwarded-For"], p.TrustedProxies)
	x.address = addressText(x.client, x.rec.RemoteAddr)
	x.rec.ClientAddr = x.address
	declineUpgrade(r.Header)
	x.origins, x.origin = len(p.Origins) > 0, p.allowedOrigin(r.Header)
	x.attach(w, p.MaxBody)
	x.w.body = x.body
	x.takeDeadlines()
	return x
}

// attach makes x answer to w, and limits its request's body.
func (x *exchange) attach(w http.ResponseWriter, maxBody int64) {
	x.writer = newResponseWriter(w)
	x.received.start(w, x.r, maxBody)
	x.w, x.body = &x.writer, &x.received
}

// maxRequestID bounds the length of a request id that a client or upstream chose.
const maxRequestID = 64

// requestID returns the client's X-Request-Id if it is short and plain, and a new id
// otherwise.
func requestID(h http.Header) string {
	if id := plainID(h.Get("X-Request-Id")); id != "" {
		return id
	}
	return newID()
}

// newID returns a new request id: 26 letters and digits, 130 random bits.
func newID() string {
	var b [26]byte
	_, _ = rand.Read(b[:]) // never fails
	for i := range b {
		b[i] = "abcdefghijklmnopqrstuvwxyz234567"[b[i]%32]
	}
	return string(b[:])
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

// trace sets the trace context of x, if tracing is on. It continues the trace of any
// client; Trace decides whether to respect the client's sampled flag.
func (p *Proxy) trace(x *exchange, peer netip.Addr) {
	if p.Trace == nil {
		return
	}
	parent, _ := record.ReadTrace(x.r.Header)
	x.rec.Trace = p.Trace(parent, isTrusted(p.TrustedProxies, peer))
}

// allowedOrigin returns the origin of the page that sent the request if it is one of
// Origins, and "" otherwise.
func (p *Proxy) allowedOrigin(h http.Header) string {
	origins := h["Origin"]
	if len(origins) != 1 || !slices.Contains(p.Origins, origins[0]) && !slices.Contains(p.Origins, "*") {
		return ""
	}
	return origins[0]
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

// record passes the complete exchange to the Keeper. It ends the stages, also if an
// answer was cut: ReverseProxy reports that to net/http by a panic, which record raises
// again. Only linger and end follow.
func (p *Proxy) record(x *exchange) {
	defer p.exchanges.add(x.r.Method, -1) // after the record is kept: the end of the process waits for that
	cut := recover()                      //nolint:revive // record itself is what serve defers
	x.enter(x.stage)
	x.rec.Duration = time.Since(x.rec.Start)
	x.rec.RequestBytes, x.rec.ResponseBytes = x.body.count.Load(), x.w.bytes
	x.recordLastDecision()
	if x.rec.Status == 0 {
		x.rec.Status = x.w.status
	}
	if cut != nil || x.w.err != nil || x.reply != nil && x.reply.err != nil {
		x.noteCut()
	}
	switch {
	case x.unrecorded:
	case x.recordTo != nil:
		x.recordTo <- &x.rec // never waits; the refresh keeps one record of both
	default:
		p.Keeper.Keep(&x.rec)
	}
	if cut != nil {
		panic(cut)
	}
}

// recordLastDecision records the latest decision about a body that was judged while it
// streamed: the one about the longest part counts.
func (x *exchange) recordLastDecision() {
	if d := x.body.lastDecision(); d != nil {
		x.recordDecision(d)
	}
}

// noteCut records why the client did not get the whole answer: upstream broke off, or
// the client left.
func (x *exchange) noteCut() {
	x.rec.Aborted = true
	switch {
	case x.reply != nil && x.reply.err != nil && !x.left():
		x.rec.Cause = "reading upstream's answer: " + record.Cause(x.reply.err)
	default:
		x.rec.Status, x.rec.Cause = record.StatusClientLeft, record.Cause(errors.Join(x.w.err, x.r.Context().Err()))
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

// end frees the resources of an exchange, however it ended.
func (x *exchange) end() {
	x.slot.free()
	x.body.leave()
}
