package e2e

import (
	"fmt"
	"net/http"
	"testing"
)

// TestAttackOnTheOperatorHurtsNoOther tries wrong tokens at the operator's listener, from
// the operator's own address, as behind a proxy. The right one works all the time.
func TestAttackOnTheOperatorHurtsNoOther(t *testing.T) {
	t.Parallel()
	const token = "the-operators-own-token"
	hurtNoOther(t, attack{
		name: "wrong tokens of the operator", settings: []string{"ADMIN_TOKEN=" + token},
		run: func(a *assault) {
			wrong := caller{t: a.T, base: a.gateway.admin, token: "wrong", client: fresh(nil)}
			right := caller{t: a.T, base: a.gateway.admin, token: token, client: fresh(nil)}
			refused := ""
			a.crowd(4, func(i int) {
				for a.pause(bystanderPause) {
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
