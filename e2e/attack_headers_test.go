package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// TestAttackByLargeHeadersHurtsNoOther sends requests whose heads are as large as they
// can be, and in ways that could fill memory, logs or metrics.
func TestAttackByLargeHeadersHurtsNoOther(t *testing.T) {
	t.Parallel()
	const large = 60 << 10 // bytes, just below what the gateway reads of a head
	hurtNoOther(t, []attack{
		{name: "large header values", run: requests(16, get1("gateway", keyOne, "X-Large: "+strings.Repeat("x", large)))},
		{name: "too large headers", run: requests(16, get1("gateway", keyOne, "X-Large: "+strings.Repeat("x", 1<<20)))},
		{name: "many headers", run: requests(16, get1("gateway", keyOne, strings.Split(strings.Repeat("X-A: b\n", large/8), "\n")[1:large/8]...))},
		{name: "many query parameters", run: requests(16, get1("gateway", demoKeys+"?a=b"+strings.Repeat("&pageSize=1", large/11)))},
		{name: "long paths", run: requests(16, get1("gateway", demoKeys+"/"+strings.Repeat("%2F", large/3)))},
		{name: "many path segments", run: requests(16, get1("gateway", demoKeys+strings.Repeat("/x", large/2)))},
		{name: "large trailers of logins", run: requests(16, chunkedLogin+"1\r\n{\r\n0\r\nX-Large: "+strings.Repeat("x", 4<<20)+"\r\n\r\n")},
		{name: "large chunk extensions of logins", run: requests(16, chunkedLogin+strings.Repeat("1;"+strings.Repeat("x", 2000)+"\r\n{\r\n", 2000))},
		{name: "large tokens", run: requests(16, get1("gateway", keyOne, "Authorization: Bearer "+strings.Repeat("x", large)))},
	}...)
}

// chunkedLogin is the head of a login whose body follows in chunks.
const chunkedLogin = "POST /accounts/login HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"

// TestAttackByInventedNamesHurtsNoOther sends methods, paths, hosts, request ids and
// addresses that are different each time. The operator's series of metrics stay as few
// as before, and no line of the log is one that an attacker wrote.
func TestAttackByInventedNamesHurtsNoOther(t *testing.T) {
	t.Parallel()
	var series int
	hurtNoOther(t, attack{
		name: "invented methods, paths and hosts", settings: []string{"TRUSTED_PROXIES=127.0.0.0/8"},
		run: func(a *assault) {
			a.crowd(16, func(i int) {
				for n := 0; !a.over(); n++ {
					if n == 10 && i == 0 {
						series = strings.Count(a.gateway.metrics(), "\n")
					}
					_, _ = a.exchange(invented(i*1_000_000 + n))
					a.rest()
				}
			})
		},
		check: func(a *assault) {
			if after := strings.Count(a.gateway.metrics(), "\n"); after > series+200 {
				a.Errorf("the operator's metrics grew from %d lines to %d", series, after)
			}
			for line := range strings.Lines(a.gateway.stderr.String()) {
				if !strings.HasPrefix(line, `{"time":`) {
					a.Errorf("a line of the log was not written by the gateway: %q", line)
				}
			}
		},
	})
}

// invented returns the n-th of requests that have all names in them different.
func invented(n int) string {
	name := fmt.Sprintf("N%d", n)
	return name + " /api/v1/organizations/" + name + "/environments/" + name + "/stores/" + name + "?" + name + "=1 HTTP/1.1\r\n" +
		"Host: " + name + ".anypoint.mulesoft.com\r\nX-Request-Id: " + name + "\\n{\"time\":\r\nX-Osgate-Region: " + name + "/x\r\n" +
		"User-Agent: \x80\"}\u2028{" + name + "\r\nAuthorization: Bearer " + name + "\r\n" +
		fmt.Sprintf("X-Forwarded-For: 10.%d.%d.%d\r\n", n>>16&255, n>>8&255, n&255) + "Connection: close\r\n\r\n"
}

// requests lets n attackers send a request over and over, each time by a connection of
// its own.
func requests(n int, request string) func(*assault) {
	return func(a *assault) {
		a.crowd(n, func(int) {
			a.again(func() error {
				_, err := a.exchange(request)
				return err
			})
		})
	}
}
