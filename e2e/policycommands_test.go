package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// starter is the set of rules that people copy.
const starter = "../docs/policy"

// TestTheStarterRulesPassTheirOwnTest and are valid, by path and by configuration.
func TestTheStarterRulesPassTheirOwnTest(t *testing.T) {
	t.Parallel()
	osgate(t, nil, "policy", "test", starter).says(t, 0, "passed: ")
	osgate(t, []string{"POLICY=" + starter}, "policy", "test").says(t, 0, "passed: ")
	osgate(t, nil, "policy", "check", starter).says(t, 0, "valid: ")
	osgate(t, nil, "policy", "schema").says(t, 0, "entity Client in [Organization]", "action getKey")
	osgate(t, nil, "policy", "check").says(t, 2, "OSGATE_POLICY")
	folder := t.TempDir()
	bad := filepath.Join(folder, "bad.cedar")
	if err := os.WriteFile(bad, []byte("permit (principal, action, resource)\nwhen { nonsense };\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	osgate(t, nil, "policy", "check", folder).says(t, 1, bad+":2:")
}

// TestReplayReadsWhatTheGatewayLogged: it reports the rule that would have refused a
// logged request.
func TestReplayReadsWhatTheGatewayLogged(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	g := s.gateway()
	g.as("app-one").get(keyOne, "X-Request-Id: to-be-refused").is(200)
	g.stderr.await(t, "the access log", g.ended, func(text string) bool { return strings.Contains(text, "to-be-refused") })
	folder := t.TempDir()
	log := filepath.Join(folder, "access.log")
	const rules = "@id(\"all\")\npermit (principal, action, resource);\n@id(\"not-app-one\")\nforbid (principal == Client::\"app-one\", action in Action::\"read\", resource);\n"
	for path, text := range map[string]string{log: g.stderr.String(), filepath.Join(folder, "a.cedar"): rules} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	osgate(t, nil, "policy", "replay", "-policy", folder, log).says(t, 0, "1 denied", "not-app-one", "to-be-refused")
	osgate(t, []string{"POLICY=" + folder}, "policy", "replay", "-format", "json", log).says(t, 0, `"denied": 1`, `"first": "to-be-refused"`)
}
