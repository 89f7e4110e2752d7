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
)

// idleTimeout bounds how long a body, either way, may stand still.
const idleTimeout = 60 * time.Second

// deadlineStep is how stale a connection's deadline may be before it is set anew: setting it on every read would cost as much as the read.
const deadlineStep = time.Second

// requestBody is the client's body on its way upstream: bounded in size and in idle time, counted, and able to say afterwards that it was to blame.
// It is read by the transport's goroutine and asked by the exchange's.
type requestBody struct {
	raw      io.ReadCloser // without the bound on size
	bounded  io.ReadCloser
	deadline *http.ResponseController
	limit    int64
	judge    func(bytes int64) error // asked whether so many bytes may be sent before the last of them are; nil: as many as there are
	count    atomic.Int64
	closed   atomic.Bool
	next     time.Time     // when the deadline is to be set anew
	within   time.Duration // for all of it; 0: as long as it does not stand still
	until    time.Time     // the end of within
	stream   bool          // it has a stream of its own (HTTP/2)
	follows  bool          // on its connection the next request stands behind it (HTTP/1)
	whole    atomic.Bool   // it was read to its end

	head   []byte // what peek read
	unread []byte // the part of head that Read has not returned yet
	end    error  // what comes after head; nil: more of the body

	mu          sync.Mutex
	over        bool             // guarded by mu: the exchange is
	interrupted bool             // guarded by mu: no read may wait any more
	err         error            // guarded by mu
	copy        []byte           // guarded by mu: what was read so far, where it is not nil; at most keptBody
	last        *policy.Decision // guarded by mu: what judge came to last
}

func newRequestBody(w http.ResponseWriter, r *http.Request, limit int64) *requestBody {
	return &requestBody{
		raw: r.Body, bounded: http.MaxBytesReader(w, r.Body, limit), deadline: http.NewResponseController(w), limit: limit,
		stream:  r.ProtoMajor > 1,
		follows: r.ProtoMajor == 1 && r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0,
	}
}

// restrict bounds what is yet to be read: in bytes, and in time for all of it, however
// steadily it arrives. It is called before the first read.
func (b *requestBody) restrict(w http.ResponseWriter, limit int64, within time.Duration) {
	b.bounded, b.limit = http.MaxBytesReader(w, b.raw, limit), limit
	b.within, b.until = within, time.Now().Add(within)
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
	b.note(p[:n], err)
	return n, err
}

// more reads what peek has left, then on from the client.
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
		b.setDeadline(b.patience(now))
	}
	n, err := b.bounded.Read(p)
	if b.stream { // its timer runs on while nobody reads, when it is the gateway that waits
		b.setDeadline(time.Time{})
	}
	b.count.Add(int64(n))
	if errors.Is(err, io.EOF) {
		b.whole.Store(true)
	}
	return n, err
}

// interrupt ends the transport's Read if it waits for the client. It does nothing when the
// transport is done with the body or has all of it: net/http reads on then, to see whether
// the client leaves, and a read that fails ends the context of every later request on the
// connection.
func (b *requestBody) interrupt() {
	if b.closed.Load() || b.whole.Load() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.interrupted = true
	if !b.over {
		_ = b.deadline.SetReadDeadline(time.Now())
	}
}

// setDeadline sets when a read fails that waits for the client, unless the exchange is
// over: net/http's parts must not be touched then, and the transport's goroutine may still
// be reading. A connection without deadlines (a test's) has none to set.
func (b *requestBody) setDeadline(t time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.over && !b.interrupted {
		_ = b.deadline.SetReadDeadline(t)
	}
}

// leave ends the use of the connection, as the exchange does. What the client has not sent
// of the body is not waited for: net/http reads on behind the exchange, without a deadline
// of its own.
func (b *requestBody) leave() {
	if b.pending() {
		b.setDeadline(time.Now().Add(-time.Second))
	}
	b.finish()
}

// finish notes that the exchange is over.
func (b *requestBody) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
}

// patience returns until when the client may take to send more.
func (b *requestBody) patience(now time.Time) time.Time {
	if b.within > 0 {
		return b.until
	}
	return now.Add(idleTimeout)
}

// pending reports whether a part of the body is still to be read from a connection that
// carries the next request behind it.
func (b *requestBody) pending() bool { return b.follows && !b.whole.Load() }

// peekBytes is the first size of peek's buffer.
const peekBytes = 2 << 10

// peek returns the beginning of the body, at most limit bytes, and whether that is all of it. Read returns it again. It is called before Read, and waits
// for a client that takes its time.
func (b *requestBody) peek(limit int) (head []byte, whole bool) {
	if b.head == nil {
		b.head = make([]byte, 0, min(limit, peekBytes))
		for len(b.head) < limit && b.end == nil { // the buffer grows with the received bytes: an idle client holds little memory
			b.head = slices.Grow(b.head, 1)
			var n int
			n, b.end = b.pull(b.head[len(b.head):min(cap(b.head), limit)])
			b.head = b.head[:len(b.head)+n]
		}
		b.unread = b.head
		b.note(nil, b.end)
	}
	return b.head, errors.Is(b.end, io.EOF)
}

// note keeps what went wrong, and what was read where that is wanted.
func (b *requestBody) note(read []byte, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	if b.copy != nil && len(b.copy)+len(read) <= keptBody {
		b.copy = append(b.copy, read...)
	}
}

// keep makes a copy of a short body while it is read.
func (b *requestBody) keep() { b.copy = make([]byte, 0, 256) }

// copied returns what was kept so far.
func (b *requestBody) copied() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.copy
}

// judged keeps what judge came to.
func (b *requestBody) judged(d policy.Decision) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last = &d
}

// verdict returns what judge came to last, nil where it was not asked.
func (b *requestBody) verdict() *policy.Decision {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}

// Close implements [io.Closer] for the transport, which is done with the body. The connection's own body stays open for drain; net/http closes it.
func (b *requestBody) Close() error {
	b.closed.Store(true)
	return nil
}

// failure returns what the client did wrong with its body, as a refusal, nil where it did not.
func (b *requestBody) failure() error {
	b.mu.Lock()
	err := b.err
	b.mu.Unlock()
	if r, ok := errors.AsType[refusal](err); ok { // its judge's
		return r
	}
	switch {
	case err == nil, errors.Is(err, http.ErrBodyReadAfterClose): // the transport read on after upstream had answered
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, syscall.ECONNRESET):
		return context.Canceled
	case errors.Is(err, io.ErrUnexpectedEOF): // it left in the middle, or only closed its sending half and still listens
		return refusal{code: codeBadRequest, detail: "the request body ended early", cause: err, gone: true}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return b.late(err)
	}
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		return tooLarge(b.limit)
	}
	return refusal{code: codeBadRequest, detail: "the request body is malformed", cause: err}
}

// late is what a client gets whose body took too long.
func (b *requestBody) late(err error) refusal {
	detail := "the request body stood still for " + idleTimeout.String()
	if b.within > 0 {
		detail = "the request body took longer than " + b.within.String()
	}
	return refusal{code: codeBadRequest, status: http.StatusRequestTimeout, title: "Request body too late", detail: detail, cause: err}
}

// buffers implements [httputil.BufferPool]: without it every answer allocates 32 KiB.
type buffers struct{ pool sync.Pool }

const bufferBytes = 32 << 10

// Get returns a buffer.
func (b *buffers) Get() []byte {
	if buffer, ok := b.pool.Get().(*[bufferBytes]byte); ok {
		return buffer[:]
	}
	return make([]byte, bufferBytes)
}

// Put gives a buffer back.
func (b *buffers) Put(buffer []byte) {
	if len(buffer) == bufferBytes {
		b.pool.Put((*[bufferBytes]byte)(buffer))
	}
}
