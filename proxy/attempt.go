package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"time"

	"osgate/internal/retryafter"
	"osgate/record"
)

// keptBody is the largest request body that is kept for sending again, and the largest 429 that is kept in case it is not.
const keptBody = 64 << 10

// attempts is the way upstream for one exchange: it picks the connection, keeps the time, and sends again what upstream refused with 429, when its turn
// comes. It stands between ReverseProxy and net/http, whose transport must not see ReverseProxy's hook for informational answers (they would be
// copied to the client; golang.org/issue/81319).
type attempts struct {
	proxy    *Proxy
	exchange *exchange
	kept     []byte        // the request body, where it is short enough to be sent again
	spent    time.Duration // by upstream so far, where the request was sent more than once
}

// RoundTrip implements [http.RoundTripper]. Nothing but a 429 is sent again: what it refuses was not processed.
func (a *attempts) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := a.keep(r); err != nil {
		return nil, err
	}
	for {
		answer, err := a.once(r)
		if err != nil || answer.StatusCode != http.StatusTooManyRequests || !a.exchange.objectStore() {
			return answer, err
		}
		if again, err := a.turn(r, answer); !again {
			return answer, err
		}
	}
}

// keep reads a short body whole, so that it can be sent more than once; a longer one streams, and is sent once. One of unknown length is read until it
// shows which it is, and goes upstream in the form in which it came.
func (a *attempts) keep(r *http.Request) error {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 || r.ContentLength > keptBody {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(r.Body, keptBody+1))
	if err != nil {
		return err
	}
	if len(text) > keptBody {
		r.Body = &joined{io.MultiReader(bytes.NewReader(text), r.Body), r.Body}
		return nil
	}
	a.kept = text
	return nil
}

// once sends r. Upstream's time, of which a request that is sent again has the rest, is over the whole of an exchange.
func (a *attempts) once(r *http.Request) (*http.Response, error) {
	x := a.exchange
	transport := a.proxy.Transport.Shared
	if x.op.Confirmable {
		transport = a.proxy.Transport.Fresh
	}
	if x.mark != nil && time.Until(x.mark.Deadline()) < a.proxy.Timeout { // it could take effect after its lease
		return nil, errLateMark
	}
	out := r.WithContext(hookless{r.Context(), x.r.Context()})
	if a.kept != nil {
		out.Body = io.NopCloser(bytes.NewReader(a.kept))
	}
	attempt := x.try(out)
	way := &sending{within: max(1, a.proxy.Timeout-a.spent), onConn: func(reused bool) { a.proxy.connected(x, reused) }}
	answer, err := transport.RoundTrip(out.WithContext(way.in(out.Context())))
	a.spent += time.Since(x.sent)
	x.tried(attempt, way, answer, err)
	a.proxy.sounded(x, err)
	if err == nil {
		disconnect(answer.Header)
	}
	return answer, err
}

// turn waits until a request that upstream refused may be sent again: until upstream's pause is over, and then for the same turns as any request that
// goes upstream, so that what is sent again is counted again. Where that is longer than a request may wait, answer goes to the client as it came.
func (a *attempts) turn(r *http.Request, answer *http.Response) (again bool, err error) {
	x := a.exchange
	refusal, short := rewind(answer)
	x.pushBack(time.Now())
	a.proxy.pause(x, answer.Header, refusal)
	if !short || r.Body != nil && a.kept == nil {
		return false, nil
	}
	defer x.enter(record.StageForward)
	x.enter(record.StageLimit)
	err = a.proxy.standBack(x)
	if err == nil && x.rec.Charged {
		err = a.proxy.charge(x.r.Context(), x)
	}
	if err == nil {
		err = a.proxy.payBudget(x)
	}
	switch {
	case errors.Is(err, context.Canceled):
		return false, err
	case err != nil:
		return false, nil // upstream's own answer is as good as ours
	}
	if x.mark != nil {
		_ = x.mark.Renew(r.Context()) // one that is not renewed is seen to be late by once
	}
	return true, nil
}

// rewind replaces a short body by a copy in memory, so that it can be dropped or passed on later; it returns the copy and whether it was short enough.
func rewind(answer *http.Response) (text []byte, short bool) {
	text, err := io.ReadAll(io.LimitReader(answer.Body, keptBody+1))
	if err != nil || len(text) > keptBody {
		answer.Body = &joined{io.MultiReader(bytes.NewReader(text), failing{answer.Body, err}), answer.Body}
		return nil, false
	}
	_ = answer.Body.Close() // read to its end
	answer.Body = io.NopCloser(bytes.NewReader(text))
	return text, true
}

// joined reads from one and closes another.
type joined struct {
	io.Reader
	io.Closer
}

// failing reads on, or fails at once with the error already met.
type failing struct {
	io.Reader
	err error
}

// Read implements [io.Reader].
func (f failing) Read(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return f.Reader.Read(p)
}

// retryAfter returns how long an answer requests to send nothing, at least interval: that
// is how long it takes for the next request to be allowed.
func retryAfter(h http.Header, interval time.Duration) time.Duration {
	wait, _ := retryafter.Of(h, time.Now())
	return max(interval, wait)
}

// errLateMark is a write whose mark would run out before the write can be known to have taken effect.
var errLateMark = errors.New("the write was marked too long ago")

// hookless is its Context without the trace hooks that it has beyond values. Its
// cancelation is that of Context, which package context finds by a value too: without it,
// each context made of a hookless one would take a goroutine.
type hookless struct {
	context.Context                 //nolint:containedctx // it is a context
	values          context.Context //nolint:containedctx // what Context is made of
}

// Value implements [context.Context].
func (c hookless) Value(key any) any {
	value := c.Context.Value(key)
	if _, hooks := value.(*httptrace.ClientTrace); hooks {
		return c.values.Value(key)
	}
	return value
}
