package proxy

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"osgate/cache"
	"osgate/cache/httpcache"
)

// relay prepares an upstream answer for the client, before its first byte is written.
// It updates what the gateway knows, removes headers that are not for the client, and
// adds our own. An error means that a stale entry replaces the answer, or that the
// answer was cut before the client got any of it.
func (p *Proxy) relay(ctx context.Context, x *exchange, answer *http.Response) error {
	x.rec.UpstreamStatus = answer.StatusCode
	p.endCall(x, answer.Header)
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
	x.ourHeaders(answer.Header)
	x.trimTrailers(answer)
	x.reply = &replyBody{ReadCloser: answer.Body, exchange: x, answer: answer, status: answer.StatusCode, length: bodyLength(answer)}
	answer.Body = x.reply
	if x.call != 0 {
		p.handleCallAnswer(x, answer)
	}
	if err := p.readAhead(ctx, x); err != nil {
		x.reply = nil // the client gets a different answer
		return err
	}
	return nil
}

// bodyLength returns the number of bytes that the answer declares for its body, -1 if
// it declares none.
func bodyLength(answer *http.Response) int64 {
	if answer.Body == http.NoBody {
		return 0
	}
	return answer.ContentLength
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
// its grants.
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
	if x.status.String() != "" && answer.Header.Get("Cache-Control") == "" {
		answer.Header.Set("Cache-Control", cache.DefaultControl)
	}
}

// scope returns the scope of the cache entries that may answer the exchange: that of
// its principal (client and user), or "" for all principals in the environment, whose
// rights the cache checks itself. Parts are length-prefixed, so that no id can look
// like two.
func (p *Proxy) scope(x *exchange) string {
	if p.SharedScope {
		return ""
	}
	var b strings.Builder
	for _, part := range []string{x.location.Plane, x.identity.Client, x.identity.User} {
		b.WriteByte(byte(len(part) >> 8))
		b.WriteByte(byte(len(part)))
		b.WriteString(part)
	}
	return b.String()
}
