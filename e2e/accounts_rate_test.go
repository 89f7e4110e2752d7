package e2e

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

const mintForm = "client_id=app-one&client_secret=secret-one&grant_type=client_credentials"

// requestToken requests a token and returns the response with any status.
func (c client) requestToken() *answer {
	c.t.Helper()
	return c.send(http.MethodPost, "/accounts/oauth2/token", mintForm, "Content-Type: application/x-www-form-urlencoded")
}

// checkAdmittedRate checks that the gateway passed on no more requests than the rate
// per second admits since begin, and returns how many it passed on.
func checkAdmittedRate(t *testing.T, answers []*answer, rate int, begin time.Time, violated string) int {
	t.Helper()
	passed := 0
	for _, a := range answers {
		if a.status != http.StatusTooManyRequests {
			passed++
			continue
		}
		a.checkRefusal(http.StatusTooManyRequests, "over-quota")
		a.checkViolatedPolicy(violated, 1)
	}
	if most := rate + int(time.Since(begin).Seconds()*float64(rate)) + 1; passed > most {
		t.Errorf("%d of %d calls passed in %v, want at most %d at %d per second", passed, len(answers), time.Since(begin), most, rate)
	}
	return passed
}

// TestTokenRequestsOfOneAddressAreLimited: the default is ten per second.
func TestTokenRequestsOfOneAddressAreLimited(t *testing.T) {
	withAndWithoutRedis(t, func(t *testing.T, s *stack) {
		c, begin := s.gateway().client(), time.Now()
		var answers []*answer
		for range 60 {
			answers = append(answers, c.requestToken())
		}
		if passed := checkAdmittedRate(t, answers, 10, begin, "address"); passed < 10 {
			t.Errorf("%d token requests passed, want at least ten at once", passed)
		}
	})
}

// TestInventedTokensCountForTheRateOfTheirAddress: each call has a new invented token.
func TestInventedTokensCountForTheRateOfTheirAddress(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	g := s.gateway("ACCOUNTS_RATE=5", "AUTH_FAILURE_RATE=0")
	known := g.clientWithUnknownToken("app-one")
	known.get(keyOne).is(http.StatusOK)
	begin := time.Now()
	var answers []*answer
	for range 40 {
		c := g.client()
		c.token = rand.Text()
		answers = append(answers, c.get("/accounts/api/me"))
	}
	checkAdmittedRate(t, answers, 5, begin, "address")
	known.get("/accounts/api/me").is(http.StatusOK) // a known token of the same address has its own rate
}

// TestReplicasShareTheRateOfCalls sends calls with one token through two gateways.
func TestReplicasShareTheRateOfCalls(t *testing.T) {
	t.Parallel()
	s := newStack(t, true)
	settings := []string{"SECRET=" + strings.Repeat("A", 43), "ACCOUNTS_RATE=5"}
	a, b := s.gateway(settings...), s.gateway(settings...)
	one := a.clientWithUnknownToken("app-one")
	one.get(keyOne).is(http.StatusOK)
	one.via(b).get(keyOne).is(http.StatusOK)
	begin := time.Now()
	var answers []*answer
	for range 20 {
		answers = append(answers, one.get("/accounts/api/me"), one.via(b).get("/accounts/api/me"))
	}
	checkAdmittedRate(t, answers, 5, begin, "token")
}

// TestCallsDoNotUseTheReserveOfIdentification: calls with one valid token use the
// control plane's allowance up to the reserve. Then new tokens are identified.
func TestCallsDoNotUseTheReserveOfIdentification(t *testing.T) {
	for name, setting := range map[string]string{"without a rate": "ACCOUNTS_RATE=0", "at the default rate": "ACCOUNTS_RATE=10"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, false, "-accounts-rate", "120", "-choose", "accounts-rate-by=ip")
			g := s.gateway(setting, "RATE=0", "AUTH_NEGATIVE_TTL=0")
			var fresh []client
			for range 8 {
				fresh = append(fresh, g.clientWithUnknownToken("app-two"))
			}
			good := g.clientWithUnknownToken("app-one")
			good.get(keyOne).is(http.StatusOK)
			statuses := map[int]int{}
			reserved := func() bool {
				a := good.get("/accounts/api/me")
				statuses[a.status]++
				return strings.Contains(a.body, `"violated-policies":["plane"]`)
			}
			eventually(t, "calls to be refused because the allowance is reserved", reserved)
			for range 120 {
				reserved()
				good.get(keyOne).is(http.StatusOK)
			}
			for i, c := range fresh {
				if a := c.get(keyOne); a.status != http.StatusOK {
					t.Errorf("the answer to new token %d is %d after %v: %s, want 200", i, a.status, statuses, a.body)
				}
			}
			metrics := client{t: t, base: g.admin}.get("/metrics").is(http.StatusOK).body
			for _, decision := range []string{"passed", "reserved"} {
				if strings.Contains(metrics, fmt.Sprintf("osgate_accounts_calls_total{osgate_accounts_decision=%q} 0\n", decision)) {
					t.Errorf("no call is counted as %s", decision)
				}
			}
		})
	}
}
