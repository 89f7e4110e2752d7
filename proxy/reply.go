package proxy

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"time"

	"osgate/cache"
)

// replyBody is upstream's body on its way to the client: it feeds the cache and knows whether it came to its end.
type replyBody struct {
	io.ReadCloser
	exchange *exchange
	answer   *http.Response // whose body it is
	status   int
	length   int64 // as announced; -1: not known
	err      error // upstream broke off
	done     bool

	ahead, last []byte // what was read before the client got any of it, in this order
	rest        error  // what comes after that; nil: more of the body

	keep  []byte       // the body's beginning, for answers that hold a token
	ended func([]byte) // called at the end of the body if keep is not nil
}

// maxKeep bounds what is kept of an answer that holds a token.
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
	b.over(err)
	return n, err
}

// shortAnswer is the longest body, in bytes, that is read whole before the client gets
// any of its answer.
const shortAnswer = 4 << 10

// readAhead reads until the body ends or the fill keeps no more; without a fill that keeps
// it, until the end of a short body, or once of a long one. It returns why the body broke
// off meanwhile.
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
		b.over(err)
	}
	return b.err
}

// readFirst reads a short body to its end, and some of a long one.
func (b *replyBody) readFirst(buffer []byte) error {
	if b.length == 0 {
		return nil
	}
	n := 0
	for b.rest == nil && (n == 0 || b.length > 0 && b.length <= shortAnswer) && n < len(buffer) {
		more, err := b.pull(buffer[n:])
		n += more
		b.rest = err
		b.over(err)
	}
	b.ahead = bytes.Clone(buffer[:n])
	return b.err
}

// pull reads more of the body.
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

// over notes how the body ended, if it did.
func (b *replyBody) over(err error) {
	switch {
	case errors.Is(err, io.EOF): // before the client sees the end, so that what it asks next finds the outcome
		b.exchange.trimTrailers(b.answer)
		b.finish(true)
	case err != nil:
		b.err = err
		b.exchange.cutOff(err)
	}
}

// cutOff notes that upstream did not end its answer, which is not stored then.
func (x *exchange) cutOff(err error) {
	x.rec.UpstreamError = kind(err)
	if x.status.Stored {
		x.status.Stored = false
		x.rec.Cache = x.status.Outcome()
	}
}

// Close implements [io.Closer]. What a client that left did not want of a write's short answer is read all the same: a complete answer settles
// the write.
func (b *replyBody) Close() error {
	if !b.done && b.err == nil && b.exchange.mark != nil && b.readRest() {
		b.finish(true)
	}
	b.finish(false)
	return b.ReadCloser.Close()
}

// readRest reads on for idleTimeout or up to maxKeep bytes, and reports whether that is all.
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

// finish settles the exchange's business with the cache, once.
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
