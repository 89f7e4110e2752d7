package e2e

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestInvalidBodiesAreAnswered4xx sends malformed, cut and too large bodies. The
// response is 400 or 413, never 502, and the client can read it.
func TestInvalidBodiesAreAnswered4xx(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	g := s.gateway("RATE=0", "MAX_BODY=64KiB")
	head := "PUT " + demoKeys + "/body HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nAuthorization: Bearer " + g.mint("app-one", "") + "\r\n"
	chunk := "8000\r\n" + strings.Repeat("x", 0x8000) + "\r\n"
	sendRaw(t, g.addr(), head+"Transfer-Encoding: chunked\r\n\r\n5\r\n{\"str\r\nnot a length\r\n").checkRefusal(http.StatusBadRequest, "bad-request")
	sendRaw(t, g.addr(), head+fmt.Sprintf("Content-Length: %d\r\n\r\n", 65<<10)+strings.Repeat("x", 65<<10)).checkRefusal(http.StatusRequestEntityTooLarge, "too-large")
	sendRaw(t, g.addr(), head+"Transfer-Encoding: chunked\r\n\r\n"+chunk+chunk+chunk+"0\r\n\r\n").checkRefusal(http.StatusRequestEntityTooLarge, "too-large")
	for _, a := range g.accessLines(http.StatusBadGateway) {
		t.Errorf("recorded as an upstream failure: %v", a)
	}
	one := g.as("app-one")
	one.put("body", strings.Repeat("x", 60<<10)).succeeded()
	if a := one.get(demoKeys + "/body").is(http.StatusOK); len(a.body) < 60<<10 {
		t.Errorf("the gateway read %d bytes of 60 KiB", len(a.body))
	}
}

// TestClientThatClosesItsConnectionIsNoUpstreamFailure closes a connection before osemu
// has answered, and reads the access log.
func TestClientThatClosesItsConnectionIsNoUpstreamFailure(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	g := s.gateway("CACHE_KEY_TTL=0")
	one := g.as("app-one")
	one.get(keyOne).is(http.StatusOK)
	s.emulator.clearRequests()
	s.emulator.setFault("20s", "")
	c, err := net.Dial("tcp", g.addr())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprint(c, rawGET("gateway", keyOne, "Authorization: Bearer "+one.token)); err != nil {
		t.Fatal(err)
	}
	s.emulator.awaitRequest(hasTarget("GET", keyOne))
	_ = c.Close()
	g.stderr.await(t, "an access log line with status 499", g.ended, func(string) bool { return len(g.accessLines(499)) == 1 })
	for _, status := range []int{http.StatusBadGateway, http.StatusGatewayTimeout} {
		for _, line := range g.accessLines(status) {
			t.Errorf("recorded as an upstream failure: %v", line)
		}
	}
}

// TestUpstreamFailuresAreNamed makes osemu cut connections and respond late, and the
// control plane fail. The responses are 502, 504 and 503, never 401 or 500. The 504 is
// due after UPSTREAM_TIMEOUT, half a second; the test allows 20 s, because osemu itself
// responds after 25 s. proxy.TestAnUpstreamThatDoesNotAnswerIsLate proves the exact
// time, in fake time.
func TestUpstreamFailuresAreNamed(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	g := s.gateway("RATE=0", "CACHE_KEY_TTL=0")
	one := g.as("app-one")
	hasty := one.via(s.gateway("RATE=0", "CACHE_KEY_TTL=0", "UPSTREAM_TIMEOUT=500ms"))
	eventually(t, "an answer within half a second", func() bool { return hasty.get(keyOne).status == http.StatusOK })
	unknown := g.as("app-two") // its token has not been used yet
	one.get(keyOne).is(http.StatusOK)

	s.emulator.setFault("", "reset=1")
	one.get(keyOne).checkRefusal(http.StatusBadGateway, "upstream-unreachable")
	one.put("unknown-outcome", "x").checkRefusal(http.StatusBadGateway, "upstream-unreachable")
	s.emulator.setFault("25s", "")
	late := hasty.get(keyOne)
	late.checkRefusal(http.StatusGatewayTimeout, "upstream-timeout")
	if late.took > 20*time.Second {
		t.Errorf("the refusal took %v, want half a second", late.took)
	}
	s.emulator.setFault("", "500=1")
	if a := one.get(keyOne).is(http.StatusInternalServerError); strings.Contains(a.body, "urn:osgate") {
		t.Errorf("Object Store's own 500 was changed: %s", a.body)
	}
	unknown.token += "-unheard-of" // so that the gateway does not know it from a token request
	a := unknown.get(keyOne)
	a.checkRefusal(http.StatusServiceUnavailable, "identity-unavailable")
	if a.header.Get("Retry-After") == "" {
		t.Errorf("identity-unavailable: %v, want Retry-After", a.header)
	}
	s.emulator.setFault("", "429=1")
	if a := one.get(keyOne).is(http.StatusTooManyRequests); strings.Contains(a.body, "urn:osgate") || !strings.Contains(a.body, "statusMessage") {
		t.Errorf("Object Store's own 429 was changed: %s", a.body)
	}
	s.emulator.setFault("", "")
	one.get(keyOne).is(http.StatusOK)
	s.emulator.kill()
	one.get(keyOne).checkRefusal(http.StatusBadGateway, "upstream-unreachable")
}

// TestTheLargestValuePassesBothWays stores and reads the largest value that Object
// Store accepts, through a gateway with default settings.
func TestTheLargestValuePassesBothWays(t *testing.T) {
	t.Parallel()
	one := newStack(t, false).gateway().as("app-one")
	value := strings.Repeat("0123456789", 750_000) // 10 MB as base64, which the vendor's limit counts
	one.put("large", value).succeeded()
	if a := one.get(demoKeys + "/large").is(http.StatusOK); !strings.Contains(a.body, value) {
		t.Errorf("7.5 MB were read as %d bytes, which differ", len(a.body))
	}
}
