package proxy

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// bounded sends requests with guarantees that net/http does not give. They hold for every
// repetition, by net/http or by this package:
//
//   - A GET or HEAD is sent at most three times, the last time over a new connection. Any
//     other request is sent once: it goes over a second connection only if its header was
//     never written to the first.
//   - Upstream gets timeout for each step: for everything up to the answer's header of a
//     request without a body; for each further part of a body, and for the answer's header
//     after the last part. Repetitions are included. The time in which the caller's body is
//     read does not count.
//   - The answer's body may stand still for idleTimeout. The time between two reads does
//     not count.
//
// An answer 101 is an error and closes the connection: no request offers Upgrade, so a
// server must not switch protocols (RFC 9110 section 15.2.2), and such an answer never ends.
// Other informational answers are skipped; they count toward the bounds on the time to the
// answer and on the size of its header.
//
// A step that takes longer ends the request and closes its connection; the error has the
// method Timeout. The caller must close the answer's body. Safe for concurrent use.
type bounded struct {
	first   *http.Transport
	last    *http.Transport // for the last sending of a request; nil: first sends it too
	timeout time.Duration
}

// RoundTrip implements [http.RoundTripper].
func (b *bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	s := sendingOf(r.Context())
	if s == nil {
		s = new(sending)
		r = r.WithContext(s.in(r.Context()))
	}
	out := s.begin(r, b.timeout)
	answer, err := b.first.RoundTrip(out)
	if errors.Is(err, errTooOften) && b.last != nil {
		s.maxTries = s.tries + 1
		answer, err = b.last.RoundTrip(out)
	}
	if err != nil {
		err = s.cause(err)
		s.end()
		return nil, err
	}
	s.clock.stop(stepAnswer)
	answer.Body = &answerBody{answer.Body, s}
	if answer.StatusCode == http.StatusSwitchingProtocols {
		_ = answer.Body.Close() // ends the connection
		return nil, errSwitched
	}
	return answer, nil
}

// errSwitched is the error of an answer that switches to another protocol.
var errSwitched = errors.New("upstream answered 101 (Switching Protocols), which no request offers")

// CloseIdleConnections closes the connections that no request uses.
func (b *bounded) CloseIdleConnections() { b.first.CloseIdleConnections() }

// pacedBody is a request's body that net/http reads: during a read upstream's time does
// not count, and after each read it starts again.
type pacedBody struct {
	io.ReadCloser
	sending *sending
}

// Read implements [io.Reader].
func (b *pacedBody) Read(p []byte) (int, error) {
	b.sending.clock.stop(stepRequest)
	n, err := b.ReadCloser.Read(p)
	b.sending.clock.start(stepRequest, b.sending.within)
	return n, err
}

// answerBody is an answer's body with a bound on the time of each read.
type answerBody struct {
	io.ReadCloser
	sending *sending
}

// Read implements [io.Reader].
func (b *answerBody) Read(p []byte) (int, error) {
	b.sending.clock.start(stepAnswer, idleTimeout)
	n, err := b.ReadCloser.Read(p)
	b.sending.clock.stop(stepAnswer)
	if err != nil && err != io.EOF { //nolint:errorlint // a body's end is io.EOF itself
		err = b.sending.cause(err)
	}
	return n, err
}

// Close implements [io.Closer].
func (b *answerBody) Close() error {
	err := b.ReadCloser.Close()
	b.sending.end()
	return err
}
