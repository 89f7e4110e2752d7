package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestRulesReadTheWholeValue under a rule that permits only strings. osemu shows what
// Object Store would have stored of each body.
func TestRulesReadTheWholeValue(t *testing.T) {
	t.Parallel()
	f := newRules(t, "@id(\"strings\")\n@reason(\"strings only\")\nforbid (principal, action in [Action::\"putKey\", Action::\"postKey\"], resource)\nunless { context.valueType == \"STRING\" };\n")
	s := newStack(t, false)
	ruled := s.gateway(f.setting(), "RATE=0", "CACHE_KEY_TTL=0").as("app-one")
	free := s.gateway("RATE=0", "CACHE_KEY_TTL=0").as("app-one")
	long := strings.Repeat("x", 200_000)
	for i, tt := range []struct {
		name, body string
		status     int
		stored     string // the type that osemu stores without a rule; empty: osemu refuses the body
	}{
		{"the value of the issue", `{"valueType":"STRING"` + strings.Repeat(" ", 4200) + `,"valueType":"BINARY","binaryValue":"QUJD"}`, 400, "BINARY"},
		{"escaped", `{"valueType":"STRING","value\u0054ype":"BINARY","binaryValue":"QUJD"}`, 400, "BINARY"},
		{"in upper case", `{"valueType":"STRING","VALUETYPE":"BINARY","binaryValue":"QUJD"}`, 403, "any"},
		{"at the end of a long body", `{"valueType":"STRING","metadata":"` + long + `","valueType":"BINARY","binaryValue":"QUJD"}`, 400, "any"},
		{"a long value of another type", `{"valueType":"STRING","stringValue":"` + long + `","binaryValue":"QUJD"}`, 403, "any"},
		{"a string", `{"stringValue":"x","valueType":"STRING"}`, 0, "STRING"},
		{"a long string", `{"stringValue":"` + long + `","valueType":"STRING"}`, 0, "STRING"},
	} {
		key := fmt.Sprintf("%s/judged-%d", demoKeys, i)
		if a := free.send(http.MethodPut, key, tt.body, "Content-Type: application/json"); tt.stored != "any" {
			a.succeeded()
			if got := free.get(key).is(http.StatusOK).body; !strings.Contains(got, `"valueType":"`+tt.stored+`"`) {
				t.Errorf("%s: osemu stored %.100s, want %s", tt.name, got, tt.stored)
			}
			free.send(http.MethodDelete, key, "").succeeded()
		}
		a := ruled.send(http.MethodPut, key, tt.body, "Content-Type: application/json")
		if tt.status == 0 {
			a.succeeded()
			continue
		}
		if a.status != tt.status {
			t.Errorf("%s: %d %.200s, want %d", tt.name, a.status, a.body, tt.status)
		}
		if tt.stored != "any" {
			free.get(key).is(http.StatusNotFound)
		}
	}
}
