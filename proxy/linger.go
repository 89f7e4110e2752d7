package proxy

import (
	"errors"
	"io"
	"net/http"
	"time"
)

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
