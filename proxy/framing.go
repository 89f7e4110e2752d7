package proxy

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"osgate/record"
)

// checkFraming refuses a request whose end or target two servers can read differently.
// The connection of such an HTTP/1 request is closed (RFC 9112 section 6.1).
func (p *Proxy) checkFraming(x *exchange) error {
	switch {
	case p.Ambiguous != nil && p.Ambiguous(x.r):
		x.closing = true
		return refusal{code: record.CodeBadRequest, detail: ambiguousDetail}
	case strings.ContainsAny(x.r.RequestURI, " #"): // in HTTP/1 net/http has refused a space
		return refusal{code: record.CodeBadPath, detail: "the request target contains a space or #, which must be percent-encoded"}
	case x.r.ProtoMajor == 2 && !lengthHolds(x.r):
		return refusal{code: record.CodeBadRequest, detail: "Content-Length is not the length of the request body"}
	}
	return nil
}

// ambiguousDetail is the detail of the refusal of an ambiguous request.
const ambiguousDetail = "a request must not have both Transfer-Encoding and Content-Length, and in HTTP/1.0 it must not have Transfer-Encoding"

// lengthHolds reports whether the Content-Length of an HTTP/2 request can be that of
// its body, as far as its header section shows (RFC 9113 section 8.1.1). net/http uses
// the first of several values, reads a value that is no number as 0, and ignores a
// wrong value if the header section ends the request: its ContentLength is 0 then.
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

// declaredBody is the body of an HTTP/2 request that declares its length. It returns
// the last bytes only after the client has ended the request. So a request is never
// complete upstream if its client sends more than it declared (RFC 9113 section 8.1.1);
// net/http refuses the surplus bytes.
type declaredBody struct {
	io.ReadCloser
	remaining int64
}

// withDeclaredLength returns r with a body that must have its declared length, if
// net/http alone does not enforce that.
func withDeclaredLength(r *http.Request) *http.Request {
	if r.ProtoMajor == 2 && r.ContentLength > 0 {
		r.Body = &declaredBody{r.Body, r.ContentLength}
	}
	return r
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
