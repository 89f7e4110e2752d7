package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"osgate/auth"
	"osgate/auth/broker"
	"osgate/cache"
	"osgate/cache/httpcache"
	"osgate/objectstore"
	"osgate/regionmap"
)

// relay prepares an upstream answer for the client, before its first byte is written.
// It updates what the gateway knows, removes headers that are not for the client, and
// adds our own. An error means that a stale entry replaces the answer, or that the
// answer was cut before the client got any of it.
func (p *Proxy) relay(ctx context.Context, x *exchange, answer *http.Response) error {
	x.rec.UpstreamStatus = answer.StatusCode
	p.endCall(x, answer.Header)
	if err := p.judgeOwnToken(x, answer.StatusCode); err != nil {
		return err
	}
	if x.objectStore() {
		p.learn(x, answer.StatusCode)
		p.refusedStranger(x, answer.StatusCode)
		p.forgetLocation(x, answer.StatusCode)
		if httpcache.Failed(answer.StatusCode) && x.hasFallback() {
			return fmt.Errorf("%w: %d", errFallback, answer.StatusCode)
		}
		p.learnTTL(ctx, x, answer.StatusCode)
		x.offer(answer)
	}
	x.rec.UpstreamRequestID = plainID(answer.Header.Get("X-Request-Id"))
	x.toClient(answer.Header)
	x.reply = &replyBody{
		ReadCloser: answer.Body, exchange: x, answer: answer, status: answer.StatusCode, length: bodyLength(answer),
	}
	answer.Body = x.reply
	if x.call != 0 {
		p.handleCallAnswer(x, answer)
	}
	if err := p.readAhead(ctx, x); err != nil {
		x.reply = nil // the client gets a different answer
		return err
	}
	h := x.w.Header()
	moveHeader(h, answer.Header)
	x.ourHeaders(h)
	x.trimTrailers(answer)
	return nil
}

// judgeOwnToken applies an answer's status to the gateway's own token. It returns a
// refusal in place of an upstream 401 or 403, which is not about the client.
func (p *Proxy) judgeOwnToken(x *exchange, status int) error {
	if !x.brokered() {
		return nil
	}
	tokens, plane := p.Brokering.Tokens, x.location.Plane
	if status == http.StatusUnauthorized {
		return errOwnTokenRefused
	}
	tokens.Accepted(plane, x.token)
	if status == http.StatusForbidden {
		tokens.Forbidden(plane, broker.Place{Organization: x.op.Ref.Organization, Environment: x.op.Ref.Environment})
		return errOwnTokenForbidden
	}
	return nil
}

// refusedStranger counts a stranger's write that upstream answered with 403.
func (p *Proxy) refusedStranger(x *exchange, status int) {
	if status == http.StatusForbidden && x.lease != nil && x.stranger() {
		p.strangers.Failed(x.r.Context(), x.strangerKey())
	}
}

// toClient removes from an upstream answer the headers that are not for the client. An
// unknown header stays: it may contain a confirmation id.
func (x *exchange) toClient(h http.Header) {
	h.Del("Server")
	if !x.call.Mints() {
		h.Del("Set-Cookie")
	}
}

// moveHeader moves the fields of an answer to the client's header. ReverseProxy would
// copy one value after another, each to a list of its own. It still copies the type,
// which it reads, because an event stream is not buffered.
func moveHeader(to, from http.Header) {
	for name, values := range from {
		if name != "Content-Type" {
			to[name] = values
			delete(from, name)
		}
	}
}

// bodyLength returns the number of bytes that the answer declares for its body, -1 if
// it declares none.
func bodyLength(answer *http.Response) int64 {
	if answer.Body == http.NoBody {
		return 0
	}
	return answer.ContentLength
}

// handleCallAnswer applies the result of an Access Management call: a new token is
// identified ahead, a revoked token is forgotten, and a refusal may have been a guess.
func (p *Proxy) handleCallAnswer(x *exchange, answer *http.Response) {
	good := answer.StatusCode >= 200 && answer.StatusCode < 300
	switch {
	case failed(x.call, answer.StatusCode):
		p.Guesses.Failed(x.r.Context(), x.neighborhood())
	case good && x.call.Mints():
		x.reply.keep = make([]byte, 0, 1024)
		x.reply.ended = func(body []byte) { p.warmMinted(x, body) }
	case good && x.call == auth.Revoke:
		p.forgetRevoked(x)
	}
}

// failed reports whether an answer with this status means that the call's credentials
// were wrong. A mint also answers 400 for that ("invalid_grant", RFC 6749 section 5.2),
// and 403 if the user is locked out.
func failed(call auth.Call, status int) bool {
	switch status {
	case http.StatusUnauthorized:
		return true
	case http.StatusBadRequest, http.StatusForbidden:
		return call.Mints()
	}
	return false
}

// warmMinted starts to identify a token that was minted through the gateway. Its
// identity comes from the control plane, as for any other token: the client ID in the
// mint's request is no proof.
func (p *Proxy) warmMinted(x *exchange, body []byte) {
	if token, ok := auth.MintedToken(body); ok {
		p.Identity.Warm(x.location.Plane, token)
	}
}

// forgetRevoked forgets the tokens that upstream has just revoked. The body is only
// read, not verified, and need not be: a forgotten token is validated again.
func (p *Proxy) forgetRevoked(x *exchange) {
	for _, token := range auth.RevokedTokens(x.r.Header.Get("Content-Type"), x.body.copied()) {
		p.Cache.Revoke(x.r.Context(), p.Identity.Forget(x.location.Plane, token))
	}
}

// copied returns the copy so far.
func (b *requestBody) copied() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.copy
}

// readAhead reads the beginning of an answer before the client gets any of it. If other
// requests may wait for the answer, it reads as much as the fill keeps for them, so
// that a slow client does not delay them. Of another answer it reads the part in which
// a failure can still become an error that the client can read. An error means that
// upstream broke off before that.
func (p *Proxy) readAhead(ctx context.Context, x *exchange) error {
	buffer := p.buffers.Get()
	defer p.buffers.Put(buffer)
	err := x.reply.readAhead(x.fill, buffer)
	if err != nil && x.fill != nil {
		x.fill.Fail(x.failureOf(ctx, err))
	}
	return err
}

// learn applies the status of an answer to the token. A 2xx is a grant, without which
// the cache serves nothing. A 401 puts the token's identity in doubt. A 401 or 403 ends
// its grants. The answer to the gateway's own token is judged before: see judgeOwnToken.
func (p *Proxy) learn(x *exchange, status int) {
	switch {
	case status >= 200 && status < 300:
		p.Cache.Grant(x.question, x.sent)
	case status == http.StatusUnauthorized:
		p.Identity.Doubt(x.identity.Hash)
		p.Cache.Revoke(x.r.Context(), x.identity.Hash)
	case status == http.StatusForbidden:
		p.Cache.Revoke(x.r.Context(), x.identity.Hash)
	}
}

// forgetLocation removes a discovered location if the answer shows that the store, or
// its content, is not there: it may have moved.
func (p *Proxy) forgetLocation(x *exchange, status int) {
	if !x.discovered {
		return
	}
	deleted := x.op.Kind == objectstore.DeleteStore && status < 300
	switch {
	case status == http.StatusNotFound && x.op.Ref.Key != "":
		p.Discovery.Forget(x.location, x.op.Ref, regionmap.Weak)
	case status == http.StatusNotFound || deleted:
		p.Discovery.Forget(x.location, x.op.Ref, regionmap.Strong)
	}
}

// offer passes the header of a miss's answer to the fill, which decides whether to
// store the answer.
func (x *exchange) offer(answer *http.Response) {
	if x.fill != nil {
		stored, reason := x.fill.Response(answer.StatusCode, answer.Header, answer.ContentLength)
		x.status.Stored = stored
		if reason != "" {
			x.status.Detail = reason
		}
	}
	if !x.status.IsZero() && answer.Header.Get("Cache-Control") == "" {
		answer.Header.Set("Cache-Control", cache.DefaultControl)
	}
}

// replyBody is upstream's body on its way to the client. It copies what is read into
// the cache and records whether the end was reached.
type replyBody struct {
	io.ReadCloser
	exchange *exchange
	answer   *http.Response // whose body it is
	status   int
	length   int64 // as declared; -1: unknown
	err      error // why upstream broke off; nil: it did not
	done     bool

	ahead, last []byte // bytes read before the client got any of them, in this order
	rest        error  // the error after these bytes; nil: more of the body

	keep  []byte       // the beginning of a body that contains a token; nil: not kept
	ended func([]byte) // called at the end of the body if keep is not nil
}

// maxKeep bounds how many bytes are kept of an answer that contains a token.
const maxKeep = 64 << 10

// Read implements [io.Reader].
func (b *replyBody) Read(p []byte) (int, error) {
	if len(b.ahead) == 0 {
		b.ahead, b.last = b.last, nil
	}
	if len(b.ahead) > 0 {
		n := copy(p, b.ahead)
		b.ahead = b.ahead[n:]
		return n, nil
	}
	if b.rest != nil {
		return 0, b.rest
	}
	n, err := b.pull(p)
	b.noteEnd(err)
	return n, err
}

// shortAnswer is the longest body, in bytes, that is read completely before the client
// gets any of its answer.
const shortAnswer = 4 << 10

// readAhead reads until the body ends or the fill keeps no more. Without such a fill it
// reads a short body to its end, and a long one once. It returns the error if the body
// broke off meanwhile.
func (b *replyBody) readAhead(fill *cache.Fill, buffer []byte) error {
	if fill == nil || !fill.ReadAhead() {
		return b.readFirst(buffer)
	}
	for b.rest == nil && fill.ReadAhead() {
		n, err := b.pull(buffer)
		if fill.ReadAhead() {
			b.ahead = fill.Kept()
		} else {
			b.last = bytes.Clone(buffer[:n])
		}
		b.rest = err
		b.noteEnd(err)
	}
	return b.err
}

// readFirst reads a short body to its end, and some bytes of a long one.
func (b *replyBody) readFirst(buffer []byte) error {
	if b.length == 0 {
		return nil
	}
	n := 0
	for b.rest == nil && (n == 0 || b.length > 0 && b.length <= shortAnswer) && n < len(buffer) {
		more, err := b.pull(buffer[n:])
		n += more
		b.rest = err
		b.noteEnd(err)
	}
	b.ahead = bytes.Clone(buffer[:n])
	return b.err
}

// pull reads more bytes of the body from upstream.
func (b *replyBody) pull(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.exchange.rec.UpstreamBytes += int64(n)
	if fill := b.exchange.fill; fill != nil && n > 0 {
		_, _ = fill.Write(p[:n]) // never fails the client
	}
	if b.keep != nil && len(b.keep)+n <= maxKeep {
		b.keep = append(b.keep, p[:n]...)
	}
	return n, err
}

// noteEnd records how the body ended, if it did.
func (b *replyBody) noteEnd(err error) {
	switch {
	case errors.Is(err, io.EOF): // before the client sees the end, so that its next request finds the outcome
		b.exchange.trimTrailers(b.answer)
		b.finish(true)
	case err != nil:
		b.err = err
		b.exchange.cutOff(err)
	}
}

// cutOff records that upstream did not end its answer. Such an answer is not stored.
func (x *exchange) cutOff(err error) {
	x.rec.UpstreamError = errorType(err)
	if x.status.Stored {
		x.status.Stored = false
		x.rec.Cache = x.status
	}
}

// Close implements [io.Closer]. If the client left before the end of a write's short
// answer, Close reads the rest: a complete answer determines the outcome of the write.
func (b *replyBody) Close() error {
	if !b.done && b.err == nil && b.exchange.lease != nil && b.readRest() {
		b.finish(true)
	}
	b.finish(false)
	return b.ReadCloser.Close()
}

// readRest reads on for idleTimeout or up to maxKeep bytes, and reports whether it
// reached the end.
func (b *replyBody) readRest() (whole bool) {
	var buffer [4 << 10]byte
	end := time.Now().Add(idleTimeout)
	for left := maxKeep; left > 0 && time.Now().Before(end); {
		n, err := b.ReadCloser.Read(buffer[:])
		b.exchange.rec.UpstreamBytes += int64(n)
		if err != nil {
			return errors.Is(err, io.EOF)
		}
		left -= n
	}
	return false
}

// finish ends the exchange's fill and mark, once.
func (b *replyBody) finish(complete bool) {
	if b.done {
		return
	}
	b.done = true
	if complete && b.ended != nil {
		b.ended(b.keep)
	}
	b.exchange.conclude(complete, b.status)
}
