package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestAttackOnIdentificationAffectsNoOtherClient keeps the gateway and the control
// plane busy with tokens. New tokens are identified all the time, as in each attack.
func TestAttackOnIdentificationAffectsNoOtherClient(t *testing.T) {
	t.Parallel()
	const mint = "client_id=app-one&client_secret=guess&grant_type=client_credentials"
	own, guessed := sharedAllowance(200), sharedAllowance(200)
	checkAttacks(t, []attack{
		{name: "guessed tokens", run: guessTokens},
		{name: "guessed tokens, Redis", redis: true, run: guessTokens},
		{
			name: "guessed tokens, one allowance for all", upstream: guessed, settings: []string{"AUTH_FAILURE_RATE=1000"},
			osemu: []string{"-accounts-rate", "0"}, run: guessTokens,
		},
		{name: "requests without a token", run: repeatRequest(8, rawGET("gateway", keyOne))},
		{name: "guessed secrets", run: repeatRequest(8, rawPOST("/accounts/oauth2/token", mint))},
		{name: "tokens without a client and a user", upstream: answerWithoutClient, run: sendTokensWithoutClient},
		{name: "repeated requests for me", upstream: own, osemu: []string{"-accounts-rate", "0"}, run: useUpAllowance},
	}...)
}

// guessTokens uses tokens that do not exist, each of them once.
func guessTokens(a *attackRun) {
	var n atomic.Int64
	a.parallel(8, func(int) {
		a.repeat(func() error {
			_, err := a.exchange(rawGET("gateway", keyOne, fmt.Sprintf("Authorization: Bearer guess-%d", n.Add(1))))
			return err
		})
	})
}

// rawPOST returns the bytes of a POST request with a form.
func rawPOST(target, form string) string {
	return "POST " + target + " HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n" +
		fmt.Sprintf("Content-Length: %d\r\n\r\n", len(form)) + form
}

// answerWithoutClient is a control plane that answers lookups of some tokens with a
// valid 200 without a client and a user.
func answerWithoutClient(w http.ResponseWriter, r *http.Request) bool {
	if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer clientless") {
		return false
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"active":true}`)
	return true
}

// sendTokensWithoutClient uses ten such tokens a second.
func sendTokensWithoutClient(a *attackRun) {
	for n := 0; a.pause(100 * time.Millisecond); n++ {
		_, _ = a.exchange(rawGET("gateway", keyOne, fmt.Sprintf("Authorization: Bearer clientless-%d", n)))
	}
}

// sharedAllowance is a control plane that has one allowance for all requests and
// reports how many are left, as the vendor's does per minute.
func sharedAllowance(limit int64) func(http.ResponseWriter, *http.Request) bool {
	var spent atomic.Int64
	reset := strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/accounts/") {
			return false
		}
		left := limit - spent.Add(1)
		w.Header().Set("X-RateLimit-Limit", strconv.FormatInt(limit, 10))
		w.Header().Set("X-RateLimit-Remaining", strconv.FormatInt(max(0, left), 10))
		w.Header().Set("X-RateLimit-Reset", reset)
		if left < 0 {
			w.WriteHeader(http.StatusTooManyRequests)
		}
		return left < 0
	}
}

// useUpAllowance uses the control plane's whole allowance, with one valid token.
func useUpAllowance(a *attackRun) {
	request := rawGET("gateway", "/accounts/api/me", "Authorization: Bearer "+a.unknownToken("app-other"))
	a.parallel(4, func(int) {
		for n := 0; n < 100 && !a.isOver(); n++ {
			_, _ = a.exchange(request)
		}
	})
}
