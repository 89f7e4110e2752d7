package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// hiddenPath is the path of requests that are hidden in the bodies of other requests.
const hiddenPath = demoKeys + "/smuggled"

// TestAttackByFramingAffectsNoOtherClient sends requests whose length two servers may
// interpret differently (RFC 9112 section 6.1), with another request in the ambiguous
// part. The answer is 400, or 501 for an unknown transfer coding. The gateway closes
// the connection, and osemu receives neither of the two requests. The attacker has a
// valid token, because a request without one never reaches osemu.
func TestAttackByFramingAffectsNoOtherClient(t *testing.T) {
	t.Parallel()
	checkAttacks(t, attack{
		name: "requests of two lengths", runsToItsEnd: true,
		run: func(a *attackRun) {
			token := a.unknownToken("app-two")
			for _, head := range attackHeads() {
				first, next, err := a.sendAmbiguous(head, token)
				if err != nil {
					a.Errorf("%q: %v", head, err)
				} else if want := attackHeadStatus(head); first != want || next != 0 {
					a.Errorf("%q: the answers are %d and %d, want %d and the end of the connection", head, first, next, want)
				}
			}
		},
		check: func(a *attackRun) {
			hidden := func(r receivedRequest) bool { return strings.Contains(r.Target, "smuggle") }
			for _, r := range a.stack.emulator.requests(hidden) {
				a.Errorf("osemu received %s %s", r.Method, r.Target)
			}
		},
	})
}

// attackHeadStatus is the expected status for a header of attackHeads: 501 if its last
// transfer coding, or one of two, is unknown.
func attackHeadStatus(head string) int {
	for _, coding := range []string{"identity", "Transfer-Encoding: x\r\n"} {
		if strings.Contains(head, coding) {
			return http.StatusNotImplemented
		}
	}
	return http.StatusBadRequest
}

// attackHeads returns request headers without a clear body length. Each lacks the empty
// line at its end.
func attackHeads() []string {
	put := "PUT " + demoKeys + "/smuggler HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n"
	both := []string{
		"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n",
		"Content-Length: 6\r\nTransfer-Encoding:\tchunked\r\n",
		"Content-Length: 6\r\ntransfer-encoding: CHUNKED\r\n",
		"Content-Length: 6\r\nTransfer-Encoding:\r\n chunked\r\n",
		"Content-Length:\r\n 6\r\nTransfer-Encoding: chunked\r\n",
		"Content-Length: 6\nTransfer-Encoding: chunked\n",
		"X: y\nTransfer-Encoding: chunked\nContent-Length: 6\r\n",
		"Content-Length: 6\r\nTransfer-Encoding : chunked\r\n",
		"Content-Length: 6\r\nTransfer-Encoding: identity\r\n",
		"Content-Length: 6\r\nTransfer-Encoding: chunked, identity\r\n",
		"Content-Length: 6\r\nTransfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n",
		"Content-Length: 6\r\nTransfer-Encoding: \x0bchunked\r\n",
		"Content-Length: 6\r\n Transfer-Encoding: chunked\r\n",
		"Content-Length: 6\r\nContent-Length: 7\r\n",
		"Content-Length: 6, 7\r\n",
		"Content-Length: +6\r\n",
		"Content-Length: 0x6\r\n",
		"Content-Length: -6\r\n",
		"Content-Length: 6 6\r\n",
	}
	var all []string
	for _, fields := range both {
		all = append(all, put+fields)
	}
	old := strings.Replace(put, "HTTP/1.1", "HTTP/1.0", 1)
	return append(all, old+"Transfer-Encoding: chunked\r\n", old+"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n")
}

// sendAmbiguous sends a header and then bytes that are either an empty chunked body and
// a request for smuggled, or a body of 6 bytes and an incomplete request. It returns
// the statuses of the first and the second response, or 0 if the connection ends before
// a response.
func (a *attackRun) sendAmbiguous(head, token string) (first, next int, err error) {
	c, err := a.dialTCP()
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(testTimeout))
	bearer := "Authorization: Bearer " + token + "\r\n"
	hidden := "0\r\n\r\nG" + "ET " + hiddenPath + " HTTP/1.1\r\nHost: gateway\r\n" + bearer + "\r\n"
	if _, err := io.WriteString(c, head+bearer+"\r\n"+hidden); err != nil {
		return 0, 0, err
	}
	in := bufio.NewReader(c)
	for _, status := range []*int{&first, &next} {
		response, err := http.ReadResponse(in, nil)
		if isConnectionEnd(err) {
			return first, next, nil
		}
		if err != nil {
			return first, next, fmt.Errorf("reading an answer: %w", err)
		}
		*status = response.StatusCode
		if _, err = io.Copy(io.Discard, response.Body); err != nil && !isConnectionEnd(err) {
			return first, next, err
		}
	}
	return first, next, nil
}

// isConnectionEnd reports whether err means that the peer has closed the connection.
func isConnectionEnd(err error) bool {
	var reset *net.OpError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &reset) && !reset.Timeout()
}
