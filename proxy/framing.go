package proxy

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// framed refuses a request whose end or target two servers can read differently. The
// connection of such an HTTP/1 request is closed (RFC 9112 section 6.1).
func (p *Proxy) framed(x *exchange) error {
	switch {
	case p.Ambiguous != nil && p.Ambiguous(x.r):
		x.closing = true
		return refusal{code: codeBadRequest, detail: ambiguousDetail}
	case strings.ContainsAny(x.r.RequestURI, " #"): // in HTTP/1 a space cannot come so far
		return refusal{code: codeBadPath, detail: "the request target holds a space or #, which must be percent-encoded"}
	case x.r.ProtoMajor == 2 && !lengthHolds(x.r):
		return refusal{code: codeBadRequest, detail: "Content-Length is not the length of the request body"}
	}
	return nil
}

// ambiguousDetail is what the client of an ambiguous request reads.
const ambiguousDetail = "a request may not have both Transfer-Encoding and Content-Length, and none of HTTP/1.0 may have Transfer-Encoding"

// lengthHolds reports whether the Content-Length of an HTTP/2 request can be that of
// its body, as far as its header section shows (RFC 9113 section 8.1.1). net/http takes
// the first of several values, counts one that is no number as 0, and overlooks one
// that is wrong where the header section ends the request: it says 0 then.
func lengthHolds(r *http.Request) bool {
	values, declared := r.Header["Content-Length"]
	if !declared {
		return true
	}
	if len(values) != 1 {
		return false
	}
	n, err := strconv.ParseUint(values[0], 10, 63)
	return err == nil && int64(n) == r.ContentLength
}

// awaitEnd waits for the end of an HTTP/2 request that declares a body of no bytes and
// has not ended with its header section. Any byte is refused: a request without a body
// is forwarded before its body is read.
func (x *exchange) awaitEnd() error {
	if x.r.ProtoMajor != 2 || x.r.ContentLength != 0 || x.r.Header["Content-Length"] == nil {
		return nil
	}
	if _, err := io.Copy(io.Discard, x.body); err != nil {
		return errors.Join(x.body.failure(), err)
	}
	return nil
}

// declaredBody is the body of an HTTP/2 request that declares its length. It gives the
// last bytes only once the client has ended the request, so that no request goes
// upstream complete whose client sends more than it declared (RFC 9113 section 8.1.1);
// net/http refuses the bytes that are too many.
type declaredBody struct {
	io.ReadCloser
	left int64
}

// withDeclaredLength returns r with a body that is held to its declared length where
// net/http alone does not hold it.
func withDeclaredLength(r *http.Request) *http.Request {
	if r.ProtoMajor == 2 && r.ContentLength > 0 {
		r.Body = &declaredBody{r.Body, r.ContentLength}
	}
	return r
}

// Read implements [io.Reader].
func (b *declaredBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	if b.left > 0 || err != nil {
		return n, err //nolint:wrapcheck // the request's own
	}
	var more [1]byte
	for err == nil {
		_, err = b.ReadCloser.Read(more[:])
	}
	if !errors.Is(err, io.EOF) {
		return 0, err //nolint:wrapcheck // the request's own
	}
	return n, io.EOF
}
