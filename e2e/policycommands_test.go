package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// starterRules is the folder of the starter rules.
const starterRules = "../docs/policy"

// TestTheStarterRulesPassTheirOwnTest: they pass it and are valid, by path and by
// configuration.
func TestTheStarterRulesPassTheirOwnTest(t *testing.T) {
	t.Parallel()
	runOsgate(t, nil, "policy", "test", starterRules).checkOutput(t, 0, "passed: ")
	runOsgate(t, []string{"POLICY=" + starterRules}, "policy", "test").checkOutput(t, 0, "passed: ")
	runOsgate(t, nil, "policy", "check", starterRules).checkOutput(t, 0, "valid: ")
	runOsgate(t, nil, "policy", "schema").checkOutput(t, 0, "entity Client in [Organization]", "action getKey")
	runOsgate(t, nil, "policy", "check").checkOutput(t, 2, "OSGATE_POLICY")
	folder := t.TempDir()
	bad := filepath.Join(folder, "bad.cedar")
	if err := os.WriteFile(bad, []byte("permit (principal, action, resource)\nwhen { nonsense };\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	runOsgate(t, nil, "policy", "check", folder).checkOutput(t, 1, bad+":2:")
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
	runOsgate(t, nil, "policy", "replay", "-policy", folder, log).checkOutput(t, 0, "1 denied", "not-app-one", "to-be-refused")
	runOsgate(t, []string{"POLICY=" + folder}, "policy", "replay", "-format", "json", log).checkOutput(t, 0, `"denied": 1`, `"first": "to-be-refused"`)
}
