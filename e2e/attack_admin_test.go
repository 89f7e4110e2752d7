package e2e

import (
	"fmt"
	"net/http"
	"testing"
)

// TestAttackOnTheAdminListenerAffectsNoOtherClient sends wrong tokens to the admin
// listener from the operator's own address, as behind a proxy. The right token works
// all the time.
func TestAttackOnTheAdminListenerAffectsNoOtherClient(t *testing.T) {
	t.Parallel()
	const token = "the-operators-own-token"
	checkAttacks(t, attack{
		name: "wrong tokens of the operator", settings: []string{"ADMIN_TOKEN=" + token},
		run: func(a *attackRun) {
			wrong := client{t: a.T, base: a.gateway.admin, token: "wrong", httpClient: newHTTPClientWithoutKeepAlive(nil)}
			right := client{t: a.T, base: a.gateway.admin, token: token, httpClient: newHTTPClientWithoutKeepAlive(nil)}
			refused := ""
			a.parallel(4, func(i int) {
				for a.pause(roundPause) {
					if i > 0 {
						_, _ = wrong.try(http.MethodGet, "/config", "")
					} else if page, err := right.try(http.MethodGet, "/config", ""); err != nil || page.status != http.StatusOK {
						refused = fmt.Sprintf("%v, %+v", err, page)
					}
				}
			})
			if refused != "" {
				a.Errorf("the right token was refused: %s", refused)
			}
		},
	})
}
