package e2e

import (
	"net/http"
	"testing"
)

// TestAttackOnTheCacheAffectsNoOtherClient: a client of another organization, without
// any permission here, sends requests that would change a store if they were permitted.
// After the refusals the store's readers get hits again.
func TestAttackOnTheCacheAffectsNoOtherClient(t *testing.T) {
	t.Parallel()
	for name, request := range map[string][2]string{
		"confirmable PATCH of a store": {http.MethodPatch, demoStore + "?confirmable=true"},
		"confirmable reads of a key":   {http.MethodGet, keyOne + "?confirmable=true"},
		"writes of a key":              {http.MethodPut, keyOne},
		"deletes of a store":           {http.MethodDelete, demoStore},
	} {
		for _, redis := range []bool{false, true} {
			suffix := map[bool]string{true: ", Redis"}[redis]
			checkAttacks(t, attack{
				name: "a stranger's " + name + suffix, redis: redis,
				run: func(a *attackRun) {
					stranger := a.newClient(false, false)
					stranger.token = a.unknownToken("app-other")
					for a.pause(roundPause) {
						if refused, err := stranger.try(request[0], request[1], `{}`); err == nil && refused.status < 400 {
							a.Errorf("the answer to %s is %d, want a refusal", name, refused.status)
						}
					}
				},
				check: func(a *attackRun) {
					eventually(a.T, "a hit after the stranger's requests", func() bool { return isHit(a.legitimate.clients[0].get(keyOne).is(http.StatusOK)) })
				},
			})
		}
	}
}
