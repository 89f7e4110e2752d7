package record

import (
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Trace is the position of an exchange in a distributed trace (W3C Trace Context, level
// 1). The zero Trace means that the exchange is not traced.
type Trace struct {
	ID      [16]byte // of the whole trace; from the caller if it sent one
	Parent  [8]byte  // the caller's span; zero if the trace begins here
	Span    [8]byte  // the span of the exchange
	Sampled bool     // decided before the exchange: its spans are exported
	State   string   // tracestate, as received
}

// On reports whether the exchange is part of a trace.
func (t *Trace) On() bool { return t.ID != [16]byte{} }

// Header fields of W3C Trace Context, in net/http's canonical form.
const (
	Traceparent = "Traceparent"
	Tracestate  = "Tracestate"
)

// Text returns the traceparent for a request that is sent within span.
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

// textLength is the length of a traceparent of version 00: version, trace, span and
// flags in hexadecimal.
const textLength = 2 + 1 + 32 + 1 + 16 + 1 + 2

// ReadTrace parses the trace context of a request's header. Parent is the caller's
// span, Span is zero. ok is false if traceparent is not exactly as in W3C Trace
// Context, section 3.2; tracestate is ignored then. An invalid tracestate alone is left
// out.
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

// read parses a traceparent. Of a later version it parses the fields of version 00;
// only "-" may follow them.
func (t *Trace) read(text string) bool {
	if len(text) < textLength || text[2] != '-' || text[35] != '-' || text[52] != '-' {
		return false
	}
	var version, flags [1]byte
	if !unhex(version[:], text[:2]) || !unhex(t.ID[:], text[3:35]) ||
		!unhex(t.Parent[:], text[36:52]) || !unhex(flags[:], text[53:55]) {
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

// unhex decodes lower-case hexadecimal (upper case is not allowed) into all of to.
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

// nibble returns the value of a hexadecimal digit, or more than 15 if c is not one.
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
	Span     [8]byte       // as upstream received it; zero without a trace
	Start    time.Duration // since the start of the exchange
	Duration time.Duration // to the answer's first byte, or to the failure
	Resend   int           // number of requests sent before, for the same exchange
	Status   int           // 0 without an answer
	Error    string        // kind of failure: "timeout", "connection_refused" …; empty if there was an answer
}

// maxAttempts is the maximum number of recorded attempts. Further ones are only
// counted.
const maxAttempts = 32

// AddAttempt records an attempt.
func (x *Exchange) AddAttempt(a Attempt) {
	if len(x.Attempts) < maxAttempts {
		x.Attempts = append(x.Attempts, a)
	}
}

// Limits of a tracestate (W3C Trace Context section 3.3): 32 members, and 512
// characters. 512 is the least that must be passed on; here it is also the most.
const (
	maxMembers     = 32
	maxState       = 512
	maxMemberKey   = 256
	maxMemberValue = 256
)

// readState returns text if it is a valid tracestate, otherwise "".
func readState(text string) string {
	if len(text) > maxState {
		return ""
	}
	var keys []string
	for member := range strings.SplitSeq(text, ",") {
		member = strings.Trim(member, " \t")
		if member == "" { // an empty member is allowed
			continue
		}
		key, value, ok := strings.Cut(member, "=")
		if !ok || !isMemberKey(key) || !isMemberValue(value) || len(keys) == maxMembers || slices.Contains(keys, key) {
			return ""
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return ""
	}
	return text
}

// isMemberKey reports whether key is a simple key or a key of a multi-tenant vendor
// ("tenant@vendor").
func isMemberKey(key string) bool {
	if key == "" || len(key) > maxMemberKey || !isLower(key[0]) && !isDigit(key[0]) || strings.Count(key, "@") > 1 {
		return false
	}
	for _, c := range []byte(key) {
		if !isLower(c) && !isDigit(c) && !strings.ContainsRune("_-*/@", rune(c)) {
			return false
		}
	}
	return true
}

// isMemberValue reports whether value is printable ASCII without "," and "=", and does
// not end with a space.
func isMemberValue(value string) bool {
	if value == "" || len(value) > maxMemberValue || value[len(value)-1] == ' ' {
		return false
	}
	for _, c := range []byte(value) {
		if c < ' ' || c > '~' || c == ',' || c == '=' {
			return false
		}
	}
	return true
}

func isLower(c byte) bool { return c >= 'a' && c <= 'z' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
