package conns

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// shake does the handshake within a time limit.
func shake(c *tls.Conn, within time.Duration) error {
	if err := c.SetDeadline(time.Now().Add(within)); err != nil {
		return fmt.Errorf("bounding the handshake: %w", err)
	}
	if err := c.Handshake(); err != nil { //nolint:noctx // the connection has a deadline
		return fmt.Errorf("TLS handshake: %w", err)
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		return fmt.Errorf("after the handshake: %w", err)
	}
	return nil
}

// answerPlain answers a client that sends plain HTTP.
func (l *Listener) answerPlain(err error) {
	header, ok := errors.AsType[tls.RecordHeaderError](err)
	if !ok || header.Conn == nil {
		return
	}
	switch string(header.RecordHeader[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "DELET", "PATCH":
		_ = refuse(header.Conn, l.plainAnswer(header.Conn)) // best effort: the connection is closed next
	}
}

// plainAnswer returns the answer to a client that sends plain HTTP: net/http's, if
// Refuse returns none.
func (l *Listener) plainAnswer(c net.Conn) []byte {
	const reason = "Client sent an HTTP request to an HTTPS server."
	if l.o.Refuse != nil {
		answer := l.o.Refuse(Refusal{Remote: c.RemoteAddr(), Status: http.StatusBadRequest, Reason: reason})
		if answer != nil {
			return answer
		}
	}
	return []byte("HTTP/1.0 400 Bad Request\r\n\r\n" + reason + "\n")
}
