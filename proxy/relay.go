package proxy

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"osgate/cache"
)

// relay prepares an upstream answer for the client: what it teaches us is learned, headers that are not for the client go, ours come. It runs before
// the first byte is written. An error says that the answer is a failure for which what is stale will stand in, or that it was cut before the client got
// any of it.
func (p *Proxy) relay(ctx context.Context, x *exchange, answer *http.Response) error {
	x.rec.UpstreamStatus = answer.StatusCode
	p.passed(x, answer.Header)
	if x.objectStore() {
		p.learn(x, answer.StatusCode)
		p.refusedStranger(x, answer.StatusCode)
		p.doubtPlace(x, answer.StatusCode)
		if cache.Failed(answer.StatusCode) && x.standIn() {
			return fmt.Errorf("%w: %d", errStandIn, answer.StatusCode)
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
		p.watch(x, answer)
	}
	if err := p.readAhead(ctx, x); err != nil {
		x.reply = nil // the client gets another answer
		return err
	}
	return nil
}

// bodyLength returns the number of bytes that an answer announces to have, -1 where it
// announces none.
func bodyLength(answer *http.Response) int64 {
	if answer.Body == http.NoBody {
		return 0
	}
	return answer.ContentLength
}

// readAhead reads the beginning of an answer before the client gets any of it: all of an
// answer that others may wait for, as far as it is kept for them, so that no slow client
// holds up others; of another answer what may still become an error that the client can
// read. An error says that upstream broke off before that.
func (p *Proxy) readAhead(ctx context.Context, x *exchange) error {
	buffer := p.buffers.Get()
	defer p.buffers.Put(buffer)
	err := x.reply.readAhead(x.fill, buffer)
	if err != nil && x.fill != nil {
		x.fill.Fail(x.explain(ctx, err))
	}
	return err
}

// learn takes from an answer what it says of the token: a 2xx is the grant without which nothing is served from the cache, a 401 puts what we hold
// of the token in doubt, and 401 and 403 end its grants.
func (p *Proxy) learn(x *exchange, status int) {
	switch {
	case status >= 200 && status < 300:
		p.Cache.Grant(x.question, x.sent)
	case status == http.StatusUnauthorized:
		p.Identity.Doubt(x.who.Hash)
		p.Cache.Revoke(x.r.Context(), x.who.Hash)
	case status == http.StatusForbidden:
		p.Cache.Revoke(x.r.Context(), x.who.Hash)
	}
}

// offer shows a miss's answer to the fill, which says whether it will be stored.
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

// scope names whose cache entries an exchange may have: those of its principal, client and user, or those of everybody in the environment, which
// the cache tells apart by itself. Parts are length-prefixed, so that no id can be made to look like two.
func (p *Proxy) scope(x *exchange) string {
	if p.SharedScope {
		return ""
	}
	var b strings.Builder
	for _, part := range []string{x.location.Plane, x.who.Client, x.who.User} {
		b.WriteByte(byte(len(part) >> 8))
		b.WriteByte(byte(len(part)))
		b.WriteString(part)
	}
	return b.String()
}
