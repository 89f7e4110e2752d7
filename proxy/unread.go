package proxy

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"osgate/record"
)

// unreadDetails are the details for the client if net/http gives no reason why it could
// not read a request.
var unreadDetails = map[int]string{
	http.StatusBadRequest:                  "the request is not a valid HTTP/1.0 or HTTP/1.1 request",
	http.StatusExpectationFailed:           "the only supported expectation is 100-continue",
	http.StatusNotImplemented:              "the request has an unsupported transfer coding; only chunked is supported",
	http.StatusRequestHeaderFieldsTooLarge: "the header section of the request is too large",
}

// Unread returns the complete answer to an HTTP/1 request that could not be read, and
// keeps a record of it. Such a request passes no stage, and only its address is known.
// The reason must not contain any part of the request.
func (p *Proxy) Unread(remote netip.AddrPort, status int, reason string) []byte {
	x := record.Exchange{
		ID: strings.ToLower(rand.Text()), Start: time.Now(), Surface: record.SurfaceNone,
		Status: status, Code: record.CodeBadRequest, Cause: reason,
	}
	if remote.IsValid() {
		x.RemoteAddr = remote.Addr().Unmap().String()
		x.ClientAddr = x.RemoteAddr
	}
	detail := cmp.Or(reason, unreadDetails[status], unreadDetails[http.StatusBadRequest])
	r := refusal{code: record.CodeBadRequest, status: status, detail: detail}
	_, title, proxyError := r.answer()
	body := r.problem(title, status, x.ID)
	h := http.Header{}
	r.headers(h, proxyError)
	h.Set("X-Request-Id", x.ID)
	h.Set("Via", via(1, 1))
	h.Set("Date", x.Start.UTC().Format(http.TimeFormat))
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Connection", "close")
	var answer bytes.Buffer
	fmt.Fprintf(&answer, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	_ = h.Write(&answer) // a buffer returns no error
	answer.WriteString("\r\n")
	answer.Write(body)
	x.ResponseBytes = int64(len(body))
	p.Keeper.Keep(&x)
	return answer.Bytes()
}
