package e2e

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// TestAttackByExpectAffectsNoOtherClient sends requests that wait for "100 Continue".
// After the refusal it sends neither the body nor another request. The gateway closes
// each connection (RFC 9110 section 10.1.1).
func TestAttackByExpectAffectsNoOtherClient(t *testing.T) {
	t.Parallel()
	const (
		head = "PUT " + demoKeys + "/expect HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
		long = head + "Content-Length: 1000000\r\n\r\n"
	)
	for name, text := range map[string]string{"length": long, "chunks": head + "Transfer-Encoding: chunked\r\n\r\n", "ACCOUNTS=false": strings.Replace(long, demoKeys, "/accounts", 1)} {
		var closed atomic.Int64
		checkAttacks(t, attack{
			name: "Expect without a body, " + name, descriptors: 1024, runsToItsEnd: true,
			run: func(a *attackRun) {
				a.parallel(500, func(int) {
					if a.sendRefusedExpect(text) == nil {
						closed.Add(1)
					}
				})
			},
			check: func(a *attackRun) {
				if n := closed.Load(); n != 500 {
					a.Errorf("the gateway closed %d of 500 refused connections, want all", n)
				}
			},
		})
	}
}

// sendRefusedExpect sends a request that is refused, and returns an error unless the
// gateway closes the connection after its answer.
func (at *attackers) sendRefusedExpect(text string) error {
	c, err := at.dialHTTP1()
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, text); err != nil {
		return err
	}
	in := bufio.NewReader(c)
	response, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
		return errors.Join(errors.New("the connection is still open after the answer"), err)
	}
	return nil
}
