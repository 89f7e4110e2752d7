package e2e

import (
	"errors"
	"testing"
	"time"
)

// TestAttackOnExchangesAffectsNoOtherClient begins more requests than the gateway
// serves at once, and finishes none of them.
func TestAttackOnExchangesAffectsNoOtherClient(t *testing.T) {
	t.Parallel()
	const login, key = "/accounts/login", demoKeys + "/unfinished"
	settings := exchangeSettings()
	unlimited := append([]string{"ACCOUNTS_RATE=0"}, settings...) // the default rate would refuse most of the logins
	closed := append([]string{"ACCOUNTS=false"}, settings...)
	checkAttacks(t, []attack{
		{name: "unfinished logins over HTTP/2", tls: true, settings: settings, waitsUntilReady: true, run: unfinishedStreams(login)},
		{name: "unfinished logins over HTTP/2, ACCOUNTS_RATE=0", tls: true, settings: unlimited, waitsUntilReady: true, run: unfinishedStreams(login)},
		{
			name: "unfinished logins over HTTP/2 from many addresses", tls: true, settings: unlimited, addresses: fullConnections(),
			knownTokensOnly: true, waitsUntilReady: true, run: unfinishedStreams(login),
		},
		{name: "unfinished logins over HTTP/2, ACCOUNTS=false", tls: true, settings: closed, waitsUntilReady: true, run: unfinishedStreams(login)},
		{name: "unfinished writes over HTTP/2", tls: true, settings: settings, waitsUntilReady: true, run: unfinishedStreams(key)},
		{name: "unfinished logins", settings: []string{"MAX_EXCHANGES=200", "ACCOUNTS_RATE=0"}, waitsUntilReady: true, run: unfinishedBodies(login)},
		{name: "unfinished logins, ACCOUNTS=false", settings: []string{"MAX_EXCHANGES=200", "ACCOUNTS=false"}, waitsUntilReady: true, run: unfinishedBodies(login)},
		{name: "unfinished writes", settings: []string{"MAX_EXCHANGES=200"}, waitsUntilReady: true, run: unfinishedBodies(key)},
	}...)
}

// exchangeSettings limits the gateway's exchanges so that fullConnections fill it. With
// -attack, the limit is the default: 10,000 exchanges.
func exchangeSettings() []string {
	if *attackFlag > 0 {
		return nil
	}
	return []string{"MAX_EXCHANGES=200"}
}

// fullConnections is a number of connections: 250 streams on each are more than all
// exchanges.
func fullConnections() int {
	if *attackFlag > 0 {
		return 41
	}
	return 2
}

// unfinishedStreams keeps 250 streams open on each of fullConnections. Each stream has
// sent one byte of its body.
func unfinishedStreams(path string) func(*attackRun) {
	return func(a *attackRun) {
		a.parallelReady(fullConnections(), func(placed func()) {
			a.repeat(func() error {
				defer placed()
				h, err := a.dialHTTP2()
				if err != nil {
					return err
				}
				for n := 0; err == nil && !a.isOver(); n++ {
					var stream uint32
					stream, err = h.request(true, h.encode("POST", path, "content-type", "application/json"))
					err = errors.Join(err, h.WriteData(stream, false, []byte("{")))
					if n >= 250 && n%10 == 0 { // in place of the answered ones
						placed()
						a.pause(500 * time.Millisecond)
					}
				}
				return errors.Join(err, h.Conn.Close())
			})
		})
	}
}

// unfinishedBodies keeps 250 connections open. Each has sent one byte of a body.
func unfinishedBodies(path string) func(*attackRun) {
	return func(a *attackRun) {
		a.holdConnections(250, "POST "+path+" HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
	}
}
