package proxy

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"osgate/auth"
	"osgate/cache"
	"osgate/cache/httpcache"
	"osgate/internal/via"
	"osgate/objectstore"
	"osgate/policy"
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
	x.rec.Protocol, _, _ = strings.Cut(via.Of(r.ProtoMajor, r.ProtoMinor), " ")
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

// withDeclaredLength returns r with a body that must have its declared length, if
// net/http alone does not enforce that.
func withDeclaredLength(r *http.Request) *http.Request {
	if r.ProtoMajor == 2 && r.ContentLength > 0 {
		r.Body = &declaredBody{r.Body, r.ContentLength}
	}
	return r
}

// attach makes x answer to w, and limits its request's body.
func (x *exchange) attach(w http.ResponseWriter, maxBody int64) {
	x.writer = newResponseWriter(w)
	x.received.start(w, x.r, maxBody)
	x.w, x.body = &x.writer, &x.received
}

// newResponseWriter returns a value, so that an exchange can contain it.
func newResponseWriter(w http.ResponseWriter) responseWriter {
	return responseWriter{ResponseWriter: w, deadline: answerDeadline{conn: *http.NewResponseController(w)}}
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

// lastDecision returns judge's latest decision, nil if it was not called.
func (b *requestBody) lastDecision() *policy.Decision {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
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

// end frees the resources of an exchange, however it ended.
func (x *exchange) end() {
	x.slot.free()
	x.body.leave()
}

// peer returns the address of the connection's other end.
func peer(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// peerAddress returns the address of the connection's other end.
func peerAddress(r *http.Request) netip.Addr {
	a, _ := readAddress(r.RemoteAddr)
	return a
}

// clientAddress returns the address that a request comes from: the connection's peer,
// or, if that is a trusted proxy, the last address in X-Forwarded-For that is not. Each
// proxy appends the peer that it saw, so values before an untrusted address are the
// client's own claim. If a value cannot be parsed, the result is the proxy that
// forwarded it. The zero address is a peer without an address (in a test).
func clientAddress(peer netip.Addr, forwardedFor []string, trusted []netip.Prefix) netip.Addr {
	for _, line := range slices.Backward(forwardedFor) {
		for _, hop := range slices.Backward(strings.Split(line, ",")) {
			if !isTrusted(trusted, peer) {
				return peer
			}
			before, ok := readAddress(hop)
			if !ok {
				return peer
			}
			peer = before
		}
	}
	return peer
}

// addressText returns a as text, "" if it is invalid. It returns known itself if that is
// the same text, as for a client without a trusted proxy.
func addressText(a netip.Addr, known string) string {
	if !a.IsValid() {
		return ""
	}
	var room [netip6Text]byte
	text := a.AppendTo(room[:0])
	if string(text) == known {
		return known
	}
	return string(text)
}

// netip6Text is the length of the longest IPv6 address without a zone as text.
const netip6Text = len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255")

// isTrusted reports whether a is a trusted proxy.
func isTrusted(trusted []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(a) })
}

// readAddress parses an address as proxies write it: with or without a port, IPv6 with
// or without brackets.
func readAddress(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	if withPort, err := netip.ParseAddrPort(text); err == nil {
		return plainAddress(withPort.Addr()), true
	}
	if bare, ok := strings.CutPrefix(text, "["); ok {
		text = strings.TrimSuffix(bare, "]")
	}
	a, err := netip.ParseAddr(text)
	return plainAddress(a), err == nil
}

// plainAddress turns an IPv4-mapped address into IPv4, and removes the zone, which has
// a meaning on one host only.
func plainAddress(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }
