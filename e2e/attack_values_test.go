package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestAttackByDisguisedValuesStoresNoForbiddenType sends values of a type that a policy
// forbids, in forms that hide the type from a careless parser. The attacker has a valid
// token.
func TestAttackByDisguisedValuesStoresNoForbiddenType(t *testing.T) {
	t.Parallel()
	rules := newRules(t, "forbid (principal, action in [Action::\"putKey\", Action::\"postKey\"], resource)\n"+
		"unless { context has valueType && context.valueType == \"STRING\" };\n")
	const binary = `"valueType":"BINARY","binaryValue":"QUJD"`
	bodies := []string{
		`{"valueType":"STRING"` + strings.Repeat(" ", 4200) + `,` + binary + `}`,
		strings.Repeat(" ", 4200) + `{` + binary + `}`,
		`{"valueType":"STRING",` + binary + `}`,
		`{` + binary + `,"valueType":"STRING"}`,
		`{"valueType":"STRING","\u0076alueType":"BINARY","binaryValue":"QUJD"}`,
		`{"valuetype":"STRING",` + binary + `}`,
		`{"keyId":"` + strings.Repeat("x", 5000) + `","valueType":"STRING",` + binary + `}`,
		`{"a":{"valueType":"STRING"},` + binary + `}`,
		`{"valueType":"STRING"}{` + binary + `}`,
		"\ufeff" + `{` + binary + `}`,
		`[{"valueType":"STRING"},{` + binary + `}]`,
	}
	checkAttacks(t, attack{
		name: "values that hide their type", settings: []string{rules.setting()}, runsToItsEnd: true,
		run: func(a *attackRun) {
			writer := a.newClient(false, false)
			writer.token = a.unknownToken("app-two")
			for i, body := range bodies {
				for _, method := range []string{http.MethodPut, http.MethodPost} {
					_, _ = writer.try(method, fmt.Sprintf("%s/odd-%d", demoKeys, i), body, "Content-Type: application/json")
				}
			}
		},
		check: func(a *attackRun) {
			reader := client{t: a.T, base: a.stack.emulator.url, token: a.unknownToken("app-one")}
			for i, body := range bodies {
				stored := reader.get(fmt.Sprintf("/us/us-east-1%s/odd-%d", demoKeys, i))
				if strings.Contains(stored.body, "BINARY") {
					a.Errorf("stored as BINARY: %.100s", body)
				}
			}
		},
	})
}
