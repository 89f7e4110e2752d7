package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"osgate/policy"
	"osgate/record"
)

// idleTimeout bounds how long a body, of a request or an answer, may stand still.
const idleTimeout = 60 * time.Second

// deadlineStep is how old a connection's deadline may be before it is set again: to set
// it on every read would cost as much as the read.
const deadlineStep = time.Second

// requestBody is the client's body on its way upstream: bounded in size and idle time,
// and counted. Afterwards [requestBody.failure] reports whether the client caused the
// error. The transport's goroutine reads it, and the goroutine of the exchange reads
// its state.
type requestBody struct {
	raw      io.ReadCloser // without the bound on size
	bounded  io.ReadCloser
	deadline http.ResponseController
	limit    int64
	// Reports whether so many bytes may be sent, before the last of them are; nil: no
	// bound.
	judge   func(bytes int64) error
	count   atomic.Int64
	closed  atomic.Bool
	next    time.Time     // when the deadline must be set again
	within  time.Duration // bound on the time of the whole body; 0: idleTimeout alone bounds it
	until   time.Time     // the end of within
	stream  bool          // it has a stream of its own (HTTP/2)
	follows bool          // the next request follows it on the connection (HTTP/1)
	whole   atomic.Bool   // its end was read

	head   []byte // the bytes that peek read
	unread []byte // the part of head that Read has not returned yet
	end    error  // the error after head; nil: more of the body

	mu          sync.Mutex
	finished    bool             // guarded by mu: the exchange has ended
	interrupted bool             // guarded by mu: no read may wait
	err         error            // guarded by mu
	copy        []byte           // guarded by mu: the bytes read so far, at most keptBody; nil: not copied
	last        *policy.Decision // guarded by mu: judge's latest decision
}

// start makes the zero b the body of r, with at most limit bytes.
func (b *requestBody) start(w http.ResponseWriter, r *http.Request, limit int64) {
	b.raw, b.bounded, b.limit = r.Body, r.Body, limit
	b.deadline, b.stream = *http.NewResponseController(w), r.ProtoMajor > 1
	if r.Body != http.NoBody {
		b.bounded = http.MaxBytesReader(w, r.Body, limit)
		b.follows = r.ProtoMajor == 1 && r.Body != nil && r.ContentLength != 0
	}
}

// Read implements [io.Reader].
func (b *requestBody) Read(p []byte) (int, error) {
	if b.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.more(p)
	if b.judge != nil && n > 0 {
		if verdict := b.judge(b.count.Load()); verdict != nil {
			n, err = 0, verdict
		}
	}
	b.noteRead(p[:n], err)
	return n, err
}

// more returns the rest of the bytes that peek read, and then reads from the client.
func (b *requestBody) more(p []byte) (int, error) {
	if len(b.unread) > 0 {
		n := copy(p, b.unread)
		b.unread = b.unread[n:]
		return n, nil
	}
	if b.end != nil {
		return 0, b.end
	}
	return b.pull(p)
}

// pull reads from the client.
func (b *requestBody) pull(p []byte) (int, error) {
	now := time.Now()
	due := !now.Before(b.next)
	if due {
		b.next = now.Add(deadlineStep)
	}
	if due || b.stream {
		b.setDeadline(b.readDeadline(now))
	}
	n, err := b.bounded.Read(p)
	if b.stream { // its timer continues between reads, while the gateway waits
		b.setDeadline(time.Time{})
	}
	b.count.Add(int64(n))
	if errors.Is(err, io.EOF) {
		b.whole.Store(true)
	}
	return n, err
}

// setDeadline sets the deadline of reads that wait for the client, unless the exchange
// has ended: then net/http's parts must not be used, while the transport's goroutine
// may still read. A connection without deadlines (in a test) ignores it.
func (b *requestBody) setDeadline(t time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.finished && !b.interrupted {
		_ = b.deadline.SetReadDeadline(t)
	}
}

// leave ends the use of the connection at the end of the exchange. It does not wait for
// the rest of the body: net/http continues to read it after the exchange, without a
// deadline of its own.
func (b *requestBody) leave() {
	if b.pending() {
		b.setDeadline(time.Now().Add(-time.Second))
	}
	b.finish()
}

// finish records that the exchange has ended.
func (b *requestBody) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.finished = true
}

// readDeadline returns the time until which the client may take to send more.
func (b *requestBody) readDeadline(now time.Time) time.Time {
	if b.within > 0 {
		return b.until
	}
	return now.Add(idleTimeout)
}

// pending reports whether a part of the body is still to be read from a connection on
// which the next request follows.
func (b *requestBody) pending() bool { return b.follows && !b.whole.Load() }

// peekBytes is the first size of peek's buffer.
const peekBytes = 2 << 10

// peek returns the beginning of the body, at most limit bytes, and whether that is the
// whole body. Read returns these bytes again. It is called before Read, and waits for
// the client.
func (b *requestBody) peek(limit int) (head []byte, whole bool) {
	if b.head == nil {
		b.head = make([]byte, 0, min(limit, peekBytes))
		// The buffer grows with the received bytes: an idle client uses little memory.
		for len(b.head) < limit && b.end == nil {
			b.head = slices.Grow(b.head, 1)
			var n int
			n, b.end = b.pull(b.head[len(b.head):min(cap(b.head), limit)])
			b.head = b.head[:len(b.head)+n]
		}
		b.unread = b.head
		b.noteRead(nil, b.end)
	}
	return b.head, errors.Is(b.end, io.EOF)
}

// noteRead records a read error other than io.EOF, and the bytes read if a copy is
// wanted.
func (b *requestBody) noteRead(read []byte, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	if b.copy != nil && len(b.copy)+len(read) <= keptBody {
		b.copy = append(b.copy, read...)
	}
}

// keep makes the body copy its first bytes, at most keptBody, while they are read.
func (b *requestBody) keep() { b.copy = make([]byte, 0, 256) }

// keepDecision records judge's latest decision.
func (b *requestBody) keepDecision(d policy.Decision) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last = &d
}

// Close implements [io.Closer] for the transport, which is done with the body. The
// connection's own body stays open for drain; net/http closes it.
func (b *requestBody) Close() error {
	b.closed.Store(true)
	return nil
}

// failure returns the refusal if the client caused an error of its body, and nil
// otherwise.
func (b *requestBody) failure() error {
	b.mu.Lock()
	err := b.err
	b.mu.Unlock()
	if r, ok := errors.AsType[refusal](err); ok { // from judge
		return r
	}
	switch {
	case err == nil, errors.Is(err, http.ErrBodyReadAfterClose): // the transport read after upstream had answered
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, syscall.ECONNRESET):
		return context.Canceled
	case errors.Is(err, io.ErrUnexpectedEOF): // it left, or closed only its sending half and can still read
		return refusal{code: record.CodeBadRequest, detail: "the request body ended early", cause: err, gone: true}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return b.lateRefusal(err)
	}
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		return tooLarge(b.limit)
	}
	return refusal{code: record.CodeBadRequest, detail: "the request body is malformed", cause: err}
}

// lateRefusal is the refusal of a body that took too long.
func (b *requestBody) lateRefusal(err error) refusal {
	detail := "the request body stood still for " + idleTimeout.String()
	if b.within > 0 {
		detail = "the request body took longer than " + b.within.String()
	}
	return refusal{
		code: record.CodeBadRequest, status: http.StatusRequestTimeout, title: "Request body too late",
		detail: detail, cause: err,
	}
}

// heldBody is a request body that is judged while it streams. It holds back the last
// byte until the whole body has been judged: without that byte upstream does not
// receive a complete request.
type heldBody struct {
	*requestBody
	judge  *policy.Judge
	decide func(policy.Head) error // called once, with the facts about the whole body

	last  byte // held back
	holds bool
	end   error // the error after the last byte; nil: the body has not ended
}

// Read implements [io.Reader].
func (b *heldBody) Read(p []byte) (n int, err error) {
	for n == 0 && err == nil && len(p) > 0 {
		n, err = b.readSome(p)
	}
	return n, err
}

// readSome is Read, but may return 0 bytes without an error if the only byte is held
// back.
func (b *heldBody) readSome(p []byte) (int, error) {
	if b.end != nil {
		return b.release(p)
	}
	n := 0
	var spare [1]byte
	room := p
	if b.holds {
		p[0], n, room = b.last, 1, p[1:]
	}
	if len(room) == 0 {
		room = spare[:]
	}
	read, err := b.requestBody.Read(room)
	_, _ = b.judge.Write(room[:read]) // never fails
	if errors.Is(err, io.EOF) {
		if refused := b.decide(b.judge.Head(true)); refused != nil {
			err = refused
			b.noteRead(nil, err)
		}
	}
	if b.end = err; err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	if read == 0 { // the held byte is in p already
		b.holds = b.holds && b.end == nil
		if b.end == nil {
			n = 0
		}
		return n, b.end
	}
	b.last, b.holds = room[read-1], true
	return n + read - 1, nil
}

// release returns the held byte and the error after it.
func (b *heldBody) release(p []byte) (int, error) {
	if !b.holds || !errors.Is(b.end, io.EOF) {
		return 0, b.end
	}
	p[0], b.holds = b.last, false
	return 1, b.end
}

// declaredBody is the body of an HTTP/2 request that declares its length. It returns
// the last bytes only after the client has ended the request. So a request is never
// complete upstream if its client sends more than it declared (RFC 9113 section 8.1.1);
// net/http refuses the surplus bytes.
type declaredBody struct {
	io.ReadCloser
	remaining int64
}

// Read implements [io.Reader].
func (b *declaredBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.remaining -= int64(n)
	if b.remaining > 0 || err != nil {
		return n, err //nolint:wrapcheck // net/http's own error
	}
	var more [1]byte
	for err == nil {
		_, err = b.ReadCloser.Read(more[:])
	}
	if !errors.Is(err, io.EOF) {
		return 0, err //nolint:wrapcheck // net/http's own error
	}
	return n, io.EOF
}
