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

// TestAttackOnIdentificationHurtsNoOther keeps the gateway and the control plane busy
// with tokens. New tokens are identified all the time, as in each attack.
func TestAttackOnIdentificationHurtsNoOther(t *testing.T) {
	t.Parallel()
	const mint = "client_id=app-one&client_secret=guess&grant_type=client_credentials"
	own, guessed := allowanceForAll(200), allowanceForAll(200)
	hurtNoOther(t, []attack{
		{name: "guessed tokens", run: guesses},
		{name: "guessed tokens, Redis", redis: true, run: guesses},
		{
			name: "guessed tokens, one allowance for all", upstream: guessed, settings: []string{"AUTH_FAILURE_RATE=1000"},
			osemu: []string{"-accounts-rate", "0"}, run: guesses,
		},
		{name: "requests without a token", run: requests(8, get1("gateway", keyOne))},
		{name: "guessed secrets", run: requests(8, post1("/accounts/oauth2/token", mint))},
		{name: "tokens that name nobody", upstream: namesNobody, run: nobodies},
		{name: "me over and over", upstream: own, osemu: []string{"-accounts-rate", "0"}, run: meOverAndOver},
	}...)
}

// guesses uses tokens that do not exist, each of them once.
func guesses(a *assault) {
	var n atomic.Int64
	a.crowd(8, func(int) {
		a.again(func() error {
			_, err := a.exchange(get1("gateway", keyOne, fmt.Sprintf("Authorization: Bearer guess-%d", n.Add(1))))
			return err
		})
	})
}

// post1 writes a POST request with a form by hand.
func post1(target, form string) string {
	return "POST " + target + " HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n" +
		fmt.Sprintf("Content-Length: %d\r\n\r\n", len(form)) + form
}

// namesNobody is a control plane that answers about some tokens by a readable 200
// without a client and a user.
func namesNobody(w http.ResponseWriter, r *http.Request) bool {
	if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer nobody") {
		return false
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"active":true}`)
	return true
}

// nobodies uses ten such tokens a second.
func nobodies(a *assault) {
	for n := 0; a.pause(100 * time.Millisecond); n++ {
		_, _ = a.exchange(get1("gateway", keyOne, fmt.Sprintf("Authorization: Bearer nobody-%d", n)))
	}
}

// allowanceForAll is a control plane that answers so many requests in all, and says how
// many are left, as the vendor's does in a minute.
func allowanceForAll(limit int64) func(http.ResponseWriter, *http.Request) bool {
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

// meOverAndOver spends what the control plane allows, with one good token.
func meOverAndOver(a *assault) {
	request := get1("gateway", "/accounts/api/me", "Authorization: Bearer "+a.token("app-other"))
	a.crowd(4, func(int) {
		for n := 0; n < 100 && !a.over(); n++ {
			_, _ = a.exchange(request)
		}
	})
}
