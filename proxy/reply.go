package proxy

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"time"

	"osgate/cache"
)

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
	if !b.done && b.err == nil && b.exchange.mark != nil && b.readRest() {
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
