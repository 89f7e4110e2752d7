package conns

import (
	"bytes"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// Refusal is a request that net/http refuses by itself, before any handler: it cannot be
// read, or its header section is too large.
type Refusal struct {
	Remote net.Addr // address of the client
	Status int      // status code of net/http's answer
	Reason string   // net/http's text, which quotes no part of the request; may be empty
}

// refusal returns the answer that replaces net/http's, nil if p is not such an answer.
// net/http writes it at once, before a handler has begun.
func (s *stream) refusal(p []byte) []byte {
	if s.listener.o.Refuse == nil || s.conn.handled.Load() {
		return nil
	}
	rest, found := bytes.CutPrefix(p, []byte("HTTP/1.1 "))
	if !found {
		return nil
	}
	line, _, _ := strings.Cut(string(rest), "\r\n") // "400 Bad Request: missing required Host header"
	code, phrase, _ := strings.Cut(line, " ")
	status, err := strconv.Atoi(code)
	if err != nil {
		return nil
	}
	_, reason, _ := strings.Cut(phrase, ": ")
	return s.listener.o.Refuse(Refusal{Remote: s.RemoteAddr(), Status: status, Reason: reason})
}

// Limits of reading the rest of a refused request after the answer.
const (
	drainBytes = 1 << 20
	drainTime  = 500 * time.Millisecond
)

// refuse writes the listener's answer, and then reads for a while: to close a
// connection on which bytes are unread resets it, and the client may lose the answer
// (RFC 9112 section 9.6).
func refuse(c net.Conn, answer []byte) error {
	if _, err := c.Write(answer); err != nil {
		return err //nolint:wrapcheck // the network's own error
	}
	if closeWrite(c) == nil && c.SetReadDeadline(time.Now().Add(drainTime)) == nil { // otherwise the client has left
		_, _ = io.CopyN(io.Discard, c, drainBytes) // ends with the client's end, or at the limits
	}
	return nil
}
