package e2e

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// TestAttackBySlowRequestsAffectsNoOtherClient sends requests one byte at a time, stops
// before their end, and does not read the answers.
func TestAttackBySlowRequestsAffectsNoOtherClient(t *testing.T) {
	t.Parallel()
	const (
		head  = "GET " + keyOne + " HTTP/1.1\r\nHost: gateway\r\nX-Slow: "
		login = "POST /accounts/login HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n"
		put   = "PUT " + keyOne + " HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n"
	)
	slowly := func(text string) func(*attackRun) {
		return func(a *attackRun) { a.sendSlowly(500, text, 200*time.Millisecond) }
	}
	checkAttacks(t, []attack{
		{name: "slow headers", waitsUntilReady: true, run: slowly(head)},
		{name: "slow headers over TLS", tls: true, waitsUntilReady: true, run: slowly(head)},
		{name: "half-open TLS handshakes", tls: true, waitsUntilReady: true, run: halfOpen},
		{name: "repeated TLS handshakes", tls: true, run: handshakes},
		{name: "slow bodies of logins", waitsUntilReady: true, run: slowly(login + "Content-Length: 10000\r\n\r\n")},
		{name: "slow chunks of logins", waitsUntilReady: true, run: slowly(login + "Transfer-Encoding: chunked\r\n\r\n1000\r\n")},
		{name: "slow bodies without a token", waitsUntilReady: true, run: slowly(put + "Content-Length: 10000\r\n\r\n")},
		{name: "unread answers", run: leaveAnswersUnread(rawGET("gateway", "/", "X-Request-Id: unread"))},
	}...)
}

// halfOpen begins TLS handshakes and does not finish them.
func halfOpen(a *attackRun) {
	const hello = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
	a.parallelReady(500, func(placed func()) {
		a.repeat(func() error {
			defer placed()
			c, err := a.dialTCP()
			if err != nil {
				return err
			}
			_, err = io.WriteString(c, hello)
			placed()
			for err == nil && a.pause(100*time.Millisecond) {
				_, err = io.WriteString(c, "x")
			}
			return errors.Join(err, c.Close())
		})
	})
}

// handshakes makes TLS handshakes, which cost the gateway more than the attackers, and
// sends no request.
func handshakes(a *attackRun) {
	a.parallel(8, func(int) {
		a.repeat(func() error {
			c, err := a.dialTLS("h2")
			if err != nil {
				return err
			}
			return c.Close()
		})
	})
}

// leaveAnswersUnread lets attackers send requests one after the other, and read no
// answer.
func leaveAnswersUnread(request string) func(*attackRun) {
	return func(a *attackRun) {
		many := strings.Repeat(strings.Replace(request, "Connection: close\r\n", "", 1), 100)
		a.parallel(100, func(int) {
			a.repeat(func() error {
				c, err := a.dialHTTP1()
				for err == nil && !a.isOver() {
					_, err = io.WriteString(c, many)
					a.yield()
				}
				if c != nil {
					_ = c.Close()
				}
				return err
			})
		})
	}
}
