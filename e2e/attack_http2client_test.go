package e2e

import (
	"bytes"
	"errors"
	"io"
	"net"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// http2Conn is an attacker's HTTP/2 connection that writes single frames. Only one
// goroutine may write.
type http2Conn struct {
	net.Conn
	*http2.Framer
	block   bytes.Buffer // the header fields that encode writes
	encoder *hpack.Encoder
	stream  uint32 // the last opened stream
}

// dialHTTP2 opens a connection with these settings. It reads and drops the gateway's
// frames until the connection ends.
func (at *attackers) dialHTTP2(settings ...http2.Setting) (*http2Conn, error) {
	h, err := at.dialHTTP2WithoutReading(settings...)
	if err != nil {
		return nil, err
	}
	go func() { // ends with the connection, which is closed at the end of the attack
		_, _ = io.Copy(io.Discard, h.Conn)
	}()
	return h, nil
}

// dialHTTP2WithoutReading opens a connection with these settings, and does not read
// from it.
func (at *attackers) dialHTTP2WithoutReading(settings ...http2.Setting) (*http2Conn, error) {
	c, err := at.dialTLS("h2")
	if err != nil {
		return nil, err
	}
	h := &http2Conn{Conn: c, Framer: http2.NewFramer(c, c)}
	h.Framer.AllowIllegalWrites = true
	h.encoder = hpack.NewEncoder(&h.block)
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if err := h.WriteSettings(settings...); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return h, nil
}

// encode returns the header block of a request. The other fields are names and values
// in turn.
func (h *http2Conn) encode(method, path string, more ...string) []byte {
	h.block.Reset()
	all := append([]string{":method", method, ":scheme", "https", ":authority", "gateway", ":path", path}, more...)
	for i := 0; i+1 < len(all); i += 2 {
		_ = h.encoder.WriteField(hpack.HeaderField{Name: all[i], Value: all[i+1]}) // a buffer's writes cannot fail
	}
	return h.block.Bytes()
}

// nextStream returns the number of a new stream.
func (h *http2Conn) nextStream() uint32 {
	if h.stream == 0 {
		h.stream = 1
		return h.stream
	}
	h.stream += 2
	return h.stream
}

// request opens a stream with a complete header block, and ends it unless a body
// follows.
func (h *http2Conn) request(body bool, block []byte) (stream uint32, err error) {
	stream = h.nextStream()
	return stream, h.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block, EndHeaders: true, EndStream: !body})
}
