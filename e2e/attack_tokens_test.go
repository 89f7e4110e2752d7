package e2e

import (
	"fmt"
	"io"
	"net/http"
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
	hurtNoOther(t, []attack{
		{name: "guessed tokens", run: guesses},
		{name: "guessed tokens, Redis", redis: true, run: guesses},
		{name: "requests without a token", run: requests(8, get1("gateway", keyOne))},
		{name: "guessed secrets", run: requests(8, post1("/accounts/oauth2/token", mint))},
		{name: "tokens that name nobody", upstream: namesNobody, run: nobodies},
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
