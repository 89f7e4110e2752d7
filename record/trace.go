package record

import (
	"encoding/hex"
	"net/http"
	"strings"
	"time"
)

// Trace is an exchange's place in a distributed trace (W3C Trace Context, level 1). The zero Trace is none: nobody traces.
type Trace struct {
	ID      [16]byte // of the whole trace; the caller's where one came
	Parent  [8]byte  // the caller's span; zero where the trace begins here
	Span    [8]byte  // the exchange's own
	Sampled bool     // decided before the exchange: its spans are wanted
	State   string   // tracestate, as it came
}

// On reports whether the exchange has a place in a trace.
func (t *Trace) On() bool { return t.ID != [16]byte{} }

// Header fields of W3C Trace Context, in net/http's canonical form.
const (
	Traceparent = "Traceparent"
	Tracestate  = "Tracestate"
)

// Text returns the value of traceparent for what is called on behalf of span.
func (t *Trace) Text(span [8]byte) string {
	var b [textLength]byte
	copy(b[:], "00-")
	hex.Encode(b[3:35], t.ID[:])
	b[35] = '-'
	hex.Encode(b[36:52], span[:])
	copy(b[52:], "-00")
	if t.Sampled {
		b[54] = '1'
	}
	return string(b[:])
}

// textLength is that of a traceparent of version 00: version, trace, span and flags in hexadecimal.
const textLength = 2 + 1 + 32 + 1 + 16 + 1 + 2

// ReadTrace reads what a request's header says of the trace it belongs to: the caller's span is Parent, Span is zero. What is not exactly as
// W3C Trace Context writes it (section 3.2) is no trace, and where traceparent is none, tracestate does not count. A tracestate that is wrong is left
// out alone.
func ReadTrace(h http.Header) (t Trace, ok bool) {
	lines := h[Traceparent]
	if len(lines) != 1 || !t.read(lines[0]) {
		return Trace{}, false
	}
	if states := h[Tracestate]; len(states) > 0 {
		t.State = readState(strings.Join(states, ","))
	}
	return t, true
}

// read reads a traceparent. Of a version to come, what version 00 has is read, and only "-" may follow it.
func (t *Trace) read(text string) bool {
	if len(text) < textLength || text[2] != '-' || text[35] != '-' || text[52] != '-' {
		return false
	}
	var version, flags [1]byte
	if !unhex(version[:], text[:2]) || !unhex(t.ID[:], text[3:35]) || !unhex(t.Parent[:], text[36:52]) || !unhex(flags[:], text[53:55]) {
		return false
	}
	switch {
	case version[0] == 0xff:
		return false
	case len(text) > textLength && (version[0] == 0 || text[textLength] != '-'):
		return false
	}
	t.Sampled = flags[0]&1 != 0
	return t.On() && t.Parent != [8]byte{}
}

// unhex reads lower-case hexadecimal, which alone is allowed, into all of to.
func unhex(to []byte, text string) bool {
	for i := range to {
		high, low := nibble(text[2*i]), nibble(text[2*i+1])
		if high > 15 || low > 15 {
			return false
		}
		to[i] = high<<4 | low
	}
	return true
}

// nibble returns what a hexadecimal digit stands for, more than 15 for what is none.
func nibble(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 16
}

// Attempt is one request sent upstream.
type Attempt struct {
	Span     [8]byte       // as upstream got it; zero without a trace
	Start    time.Duration // after the exchange's
	Duration time.Duration // to the answer's first byte, or to the failure
	Resend   int           // how many requests were sent before, for the same exchange
	Status   int           // 0 without an answer
	Error    string        // kind of failure: "timeout", "connection_refused" …; empty where there was an answer
}

// maxAttempts bounds how many attempts are kept; more are counted alone.
const maxAttempts = 32

// Tried notes an attempt.
func (x *Exchange) Tried(a Attempt) {
	if len(x.Attempts) < maxAttempts {
		x.Attempts = append(x.Attempts, a)
	}
}
