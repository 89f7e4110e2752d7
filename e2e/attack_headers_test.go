package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// TestAttackByLargeHeadersAffectsNoOtherClient sends requests with the largest accepted
// headers, and requests that could fill memory, logs or metrics.
func TestAttackByLargeHeadersAffectsNoOtherClient(t *testing.T) {
	t.Parallel()
	const large = 60 << 10 // bytes, just below the gateway's header limit
	checkAttacks(t, []attack{
		{name: "large header values", run: repeatRequest(16, rawGET("gateway", keyOne, "X-Large: "+strings.Repeat("x", large)))},
		{name: "too large headers", run: repeatRequest(16, rawGET("gateway", keyOne, "X-Large: "+strings.Repeat("x", 1<<20)))},
		{name: "many headers", run: repeatRequest(16, rawGET("gateway", keyOne, strings.Split(strings.Repeat("X-A: b\n", large/8), "\n")[1:large/8]...))},
		{name: "many query parameters", run: repeatRequest(16, rawGET("gateway", demoKeys+"?a=b"+strings.Repeat("&pageSize=1", large/11)))},
		{name: "long paths", run: repeatRequest(16, rawGET("gateway", demoKeys+"/"+strings.Repeat("%2F", large/3)))},
		{name: "many path segments", run: repeatRequest(16, rawGET("gateway", demoKeys+strings.Repeat("/x", large/2)))},
		{name: "large trailers of logins", run: repeatRequest(16, chunkedLogin+"1\r\n{\r\n0\r\nX-Large: "+strings.Repeat("x", 4<<20)+"\r\n\r\n")},
		{name: "large chunk extensions of logins", run: repeatRequest(16, chunkedLogin+strings.Repeat("1;"+strings.Repeat("x", 2000)+"\r\n{\r\n", 2000))},
		{name: "large tokens", run: repeatRequest(16, rawGET("gateway", keyOne, "Authorization: Bearer "+strings.Repeat("x", large)))},
	}...)
}

// chunkedLogin is the header of a login with a chunked body.
const chunkedLogin = "POST /accounts/login HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"

// TestAttackByInventedNamesAffectsNoOtherClient sends different methods, paths, hosts,
// request ids and addresses each time. The number of the gateway's metric series does
// not grow, and an attacker cannot write a line of the log.
func TestAttackByInventedNamesAffectsNoOtherClient(t *testing.T) {
	t.Parallel()
	var series int
	checkAttacks(t, attack{
		name: "invented methods, paths and hosts", settings: []string{"TRUSTED_PROXIES=127.0.0.0/8"},
		run: func(a *attackRun) {
			a.parallel(16, func(i int) {
				for n := 0; !a.isOver(); n++ {
					if n == 10 && i == 0 {
						series = strings.Count(a.gateway.metrics(), "\n")
					}
					_, _ = a.exchange(inventedRequest(i*1_000_000 + n))
					a.yield()
				}
			})
		},
		check: func(a *attackRun) {
			if after := strings.Count(a.gateway.metrics(), "\n"); after > series+200 {
				a.Errorf("the number of metrics lines grew from %d to %d", series, after)
			}
			for line := range strings.Lines(a.gateway.stderr.String()) {
				if !strings.HasPrefix(line, `{"time":`) {
					a.Errorf("the gateway did not write this line of the log: %q", line)
				}
			}
		},
	})
}

// inventedRequest returns the n-th request. Each of its names is different from those
// of the other requests.
func inventedRequest(n int) string {
	name := fmt.Sprintf("N%d", n)
	return name + " /api/v1/organizations/" + name + "/environments/" + name + "/stores/" + name + "?" + name + "=1 HTTP/1.1\r\n" +
		"Host: " + name + ".anypoint.mulesoft.com\r\nX-Request-Id: " + name + "\\n{\"time\":\r\nX-Osgate-Region: " + name + "/x\r\n" +
		"User-Agent: \x80\"}\u2028{" + name + "\r\nAuthorization: Bearer " + name + "\r\n" +
		fmt.Sprintf("X-Forwarded-For: 10.%d.%d.%d\r\n", n>>16&255, n>>8&255, n&255) + "Connection: close\r\n\r\n"
}

// repeatRequest lets n attackers send a request again and again, each time over a new
// connection.
func repeatRequest(n int, request string) func(*attackRun) {
	return func(a *attackRun) {
		a.parallel(n, func(int) {
			a.repeat(func() error {
				_, err := a.exchange(request)
				return err
			})
		})
	}
}
