package proxy

import (
	"errors"
	"io"
	"net/http"
	"time"
)

const (
	// refusalTime bounds how long a client may take over the answer that refuses it.
	refusalTime = 10 * time.Second

	// lingerBytes and lingerTime bound what is read of a request after its answer. A
	// client that sends the whole request before it reads gets to read the answer.
	lingerBytes = 12 << 20
	lingerTime  = 5 * time.Second

	// expectTime is in the place of lingerTime for a client that waits for "100 Continue".
	// The answer is what it waits for, so it has nothing to send, and hangs up.
	expectTime = 500 * time.Millisecond

	// lingerShare: there is one slot for exchanges that were refused for so many slots of
	// those that are served.
	lingerShare = 2
)

// retreat gives back the slot of an exchange that is refused, and takes one of those for
// exchanges whose answers are written and whose requests are read to the end. It reports
// whether there was one: where there is none, the client gets no answer. On a connection of
// HTTP/1 whose request was read a refusal waits for nothing, and needs none: it is shorter
// than what the system keeps for the connection.
func (p *Proxy) retreat(x *exchange) bool {
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

// linger ends an exchange on a connection of HTTP/1 whose request was not read to its end.
// The answer is sent first, and the exchange holds no slot of those that are served. Then
// what is left of the request is read, bounded, so that the connection can serve again;
// where its end does not come, the connection is closed. A stream of HTTP/2 has nothing
// behind it: net/http resets it after the answer (RFC 9113 section 8.1).
func (p *Proxy) linger(x *exchange) {
	switch {
	case x.severed:
		panic(http.ErrAbortHandler) // net/http's way to close a connection or reset a stream
	case !x.body.pending():
		x.flushStream()
		return
	}
	room := p.retreat(x)
	flushed := http.NewResponseController(x.w).Flush() == nil
	if room && flushed && x.body.drain(x.expects()) || x.w.Header().Get("Connection") == "close" {
		return
	}
	panic(http.ErrAbortHandler)
}

// flushStream sends the answer to a stranger on a stream of HTTP/2 while its slot is held.
// net/http would do so behind the exchange, and wait there for a client that opens no
// window (RFC 9113 section 5.2).
func (x *exchange) flushStream() {
	if x.r.ProtoMajor > 1 && x.slot.class == stranger {
		_ = http.NewResponseController(x.w).Flush() // a client that left needs nothing
	}
}

// expects reports whether the client waits for "100 Continue" before it sends its body
// (RFC 9110 section 10.1.1), and was not told to go on.
func (x *exchange) expects() bool {
	return x.r.Header.Get("Expect") != "" && x.body.count.Load() == 0
}

// drain reads what is left of the body and reports whether it came to its end. Awaited
// says that the client has not begun to send it.
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

// end gives back what an exchange holds, however it ended.
func (x *exchange) end() {
	x.slot.free()
	x.body.leave()
}
