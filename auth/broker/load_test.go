package broker_test

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"osgate/auth"
	"osgate/auth/broker"
)

// read reads a key of Object Store with a token, and returns the status.
func (w *world) read(t testing.TB, token auth.Token) int {
	const key = "http://memory/us/us-east-1/api/v1/organizations/org-root/environments/env-prod/stores/" +
		"APP_demo__defaultPersistentObjectStore/partitions/DEFAULT_PARTITION/keys/KeyOne"
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, key, http.NoBody)
	if err != nil {
		t.Error(err)
		return 0
	}
	r.Header.Set("Authorization", token.Header())
	answer, err := w.transport.RoundTrip(r)
	if err != nil {
		t.Error(err)
		return 0
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

// forward reads a key as the gateway does: it sends the request again once after a 401.
func (w *world) forward(t testing.TB, tokens *broker.Tokens) (status int) {
	for range 2 {
		token, err := tokens.Token(t.Context(), "us")
		if err != nil {
			t.Errorf("no token: %v", err)
			return 0
		}
		if status = w.read(t, token); status != http.StatusUnauthorized {
			tokens.Accepted("us", token)
			return status
		}
		tokens.Refused("us", token)
	}
	return status
}

// TestNoRequestFailsUnderLoad while the token is revoked twice and the secret rotated
// in between, and each revocation costs one mint.
func TestNoRequestFailsUnderLoad(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		var all sync.WaitGroup
		var stop atomic.Bool
		for range 20 {
			all.Go(func() {
				for !stop.Load() {
					if status := w.forward(t, tokens); status != http.StatusOK {
						t.Errorf("a request got %d", status)
					}
					<-time.After(100 * time.Millisecond)
				}
			})
		}
		pass(10 * time.Second)
		w.RevokeTokens("app-one")
		pass(10 * time.Second)
		if _, err := w.SetSecret("app-one", "fresh"); err != nil {
			t.Error(err)
		}
		pass(10 * time.Second)
		w.use("fresh")
		w.RevokeTokens("app-one")
		pass(10 * time.Second)
		stop.Store(true)
		all.Wait()
		for _, c := range w.ClientCounts() {
			if c.ID == "app-one" && (c.Mints != 3 || c.RefusedMints != 0 || c.Requests < 7000) {
				t.Errorf("counted %+v", c)
			}
		}
		w.expectReported(t)
	})
}
