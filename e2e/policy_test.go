package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	noDeletes       = "no-deletes-in-production"
	noDeletesReason = "Nothing is deleted in production; ask the platform team"
	permitAll       = "@id(\"all\")\npermit (principal, action, resource);\n"
)

// ruleFile is a file of rules that a test changes.
type ruleFile struct {
	t    *testing.T
	path string
}

// newRules returns a folder with one file, which permits all requests that these rules
// do not forbid.
func newRules(t *testing.T, rules string) *ruleFile {
	t.Helper()
	f := &ruleFile{t, filepath.Join(t.TempDir(), "rules.cedar")}
	f.write(permitAll + rules)
	return f
}

// setting returns the setting that makes the gateway use the rules.
func (f *ruleFile) setting() string { return "POLICY=" + filepath.Dir(f.path) }

// write replaces the file as a whole, as editors and configuration management do. The
// new file's time is an hour ago, so that it is at rest and is read at once.
func (f *ruleFile) write(text string) {
	f.t.Helper()
	if err := os.WriteFile(f.path+".new", []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(f.path+".new", f.path); err != nil {
		f.t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := errors.Join(os.Chtimes(f.path, old, old), os.Chtimes(filepath.Dir(f.path), old, old)); err != nil {
		f.t.Fatal(err)
	}
}

// checkDenial checks a refusal by a rule: its ID and its reason, and that the refusal
// does not contain the rule's source text. It does not end the test.
func (a *answer) checkDenial(rule, reason string) {
	a.t.Helper()
	a.checkRefusal(http.StatusForbidden, "denied")
	a.checkRule(rule, reason)
}

// checkRule checks that a refusal names this rule with this reason.
func (a *answer) checkRule(rule, reason string) {
	a.t.Helper()
	var p struct{ Rule, Detail string }
	if err := json.Unmarshal([]byte(a.body), &p); err != nil || p.Rule != rule || p.Detail != reason {
		a.t.Errorf("%s: rule %q, detail %q, want %q, %q; body %q: %v", a.request, p.Rule, p.Detail, rule, reason, a.body, err)
	}
	for _, text := range []string{"principal", "forbid", "environmentType", "Client::", ".cedar"} {
		if strings.Contains(a.body, text) {
			a.t.Errorf("%s: the refusal shows %q of the rule: %s", a.request, text, a.body)
		}
	}
}

// checkAccessLog waits for the access line of a response and checks its fields.
func (g *gateway) checkAccessLog(a *answer, want map[string]any) {
	g.t.Helper()
	id := a.header.Get("X-Request-Id")
	var line map[string]any
	eventually(g.t, "the access line of "+a.request, func() bool {
		for _, l := range g.accessLines(a.status) {
			if l["request_id"] == id {
				line = l
			}
		}
		return line != nil
	})
	for name, value := range want {
		if fmt.Sprint(line[name]) != fmt.Sprint(value) {
			g.t.Errorf("%s: the access line has %s %v, want %v: %v", a.request, name, line[name], value, line)
		}
	}
}

// hasMetricLine reports whether /metrics contains this line.
func (g *gateway) hasMetricLine(line string) bool {
	page := client{t: g.t, base: g.admin}.get("/metrics").is(http.StatusOK).body
	return slices.Contains(strings.Split(page, "\n"), line)
}

// decisionsMetric returns the line of /metrics with the number of decisions of a rule.
func decisionsMetric(rule, decision string, n int) string {
	return fmt.Sprintf("osgate_policy_decisions_total{osgate_policy_decision=%q,osgate_policy_rule=%q} %d", decision, rule, n)
}

// isEnvironmentRequest matches requests for the environments of org-root.
func isEnvironmentRequest(r receivedRequest) bool {
	return strings.HasPrefix(r.Target, "/accounts/api/organizations/org-root/environments")
}

// TestTheStarterRulesProtectProduction uses a copy of the starter rules, with the types
// of environments of the Access Management of osemu.
func TestTheStarterRulesProtectProduction(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	g := s.gateway("POLICY="+starterRules, "RATE=0")
	one, two := g.as("app-one"), g.as("app-two")
	for i, c := range []client{one, two, one} {
		key := fmt.Sprintf("k%d", i)
		c.send(http.MethodPut, sandboxKeys+"/"+key, stringValue(key, "v"), "Content-Type: application/json").succeeded()
		c.send(http.MethodDelete, sandboxKeys+"/"+key, "").succeeded()
	}
	s.emulator.clearRequests()
	for _, c := range []client{one, two} {
		c.send(http.MethodDelete, demoKeys+"/KeyTwo", "").checkDenial(noDeletes, noDeletesReason)
	}
	a := one.send(http.MethodDelete, strings.Replace(demoKeys, "env-prod", "env%2Dp%72od", 1)+"/KeyTwo", "")
	a.checkDenial(noDeletes, noDeletesReason)
	if seen := s.emulator.requests(isNoIdentityRequest); len(seen) != 0 {
		t.Errorf("osemu received %v, want no request: a denied request is not forwarded, and types are requested once", seen)
	}
	g.checkAccessLog(a, map[string]any{"rule": noDeletes, "code": "denied", "operation": "deleteKey", "principal": "app-one"})
	one.get(demoKeys + "/KeyTwo").is(http.StatusOK)
	eventually(t, "the decisions to be counted", func() bool {
		return g.hasMetricLine(decisionsMetric(noDeletes, "deny", 3)) && g.hasMetricLine(decisionsMetric("everyone", "allow", 7))
	})
}

// TestTypesOfEnvironmentsAreRequestedOnce: one request is sent for them, and none if no
// rule reads them.
func TestTypesOfEnvironmentsAreRequestedOnce(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	g := s.gateway("POLICY="+starterRules, "RATE=0")
	callers := []client{g.as("app-one"), g.as("app-two"), g.as("app-one")}
	for _, c := range callers {
		c.get(keyOne).is(http.StatusOK)
	}
	if n := len(s.emulator.requests(isEnvironmentRequest)); n != 0 {
		t.Errorf("reads requested types %d times, want 0: no rule on reads needs types", n)
	}
	for i := range 30 {
		callers[i%3].send(http.MethodDelete, sandboxKeys+"/none", "")
	}
	if n := len(s.emulator.requests(isEnvironmentRequest)); n != 1 {
		t.Errorf("30 deletes with 3 tokens requested types %d times, want once", n)
	}
}

// TestEnvironmentOfUnknownTypeCountsAsProduction only while the control plane does not
// answer.
func TestEnvironmentOfUnknownTypeCountsAsProduction(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	f := s.controlPlaneProxy()
	g := s.gateway("POLICY="+starterRules, "RATE=0", "UPSTREAM_OVERRIDE="+f.url)
	one := g.as("app-one")
	one.get(keyOne).is(http.StatusOK)
	f.setFailure(answer500)
	one.send(http.MethodDelete, sandboxKeys+"/KeyTwo", "").checkDenial(noDeletes, noDeletesReason)
	one.get(keyOne).is(http.StatusOK)
	f.setFailure(nil)
	eventually(t, "a delete in the sandbox", func() bool {
		return one.send(http.MethodDelete, sandboxKeys+"/KeyTwo", "").status != http.StatusForbidden
	})
}

// TestTheOtherStarterRulesAreInForce checks the other starter rules: ceilings,
// read-only access and own stores. osgate explain must agree.
func TestTheOtherStarterRulesAreInForce(t *testing.T) {
	t.Parallel()
	g := newStack(t, false).gateway("POLICY="+starterRules, "RATE=0")
	one := g.as("app-one")
	const store = "/api/v1/organizations/org-root/environments/env-sandbox/stores/APP_ceilings"
	define := func(method, body string) *answer {
		return one.send(method, store, body, "Content-Type: application/json")
	}
	define(http.MethodPut, `{"storeId":"APP_ceilings"}`).checkDenial("stores-say-their-ttl", "A store says how long its entries live (defaultTtlSeconds), up to a week")
	define(http.MethodPut, `{"storeId":"APP_ceilings","defaultTtlSeconds":604801}`).is(http.StatusForbidden)
	define(http.MethodPut, `{"storeId":"APP_ceilings","defaultTtlSeconds":604800}`).succeeded()
	define(http.MethodPatch, `{"defaultTtlSeconds":604801}`).checkDenial("stores-keep-their-ttl", "Entries of a store live up to a week (defaultTtlSeconds)")
	define(http.MethodPatch, `{"defaultTtlSeconds":3600,"defaultTtlSeconds":0}`).checkRefusal(http.StatusBadRequest, "bad-request")
	define(http.MethodPatch, `{"defaultTtlSeconds":3600}`).succeeded()
	large := one.send(http.MethodPut, store+"/partitions/p/keys/k", stringValue("k", strings.Repeat("x", 1<<20)), "Content-Type: application/json")
	large.checkDenial("values-up-to-1-mib", "Values may have up to 1 MiB")
	one.get("/api/v1/organizations/org-root/environments/env-sandbox/stores/APP_billing%5F_x").checkDenial("billing-stores-are-billings", "Stores that begin with APP_billing__ belong to another client")
	settings := []string{"POLICY=" + starterRules, "DEFAULT_REGION=us/us-east-1"}
	runOsgate(t, settings, "explain", "-token-client", "app-one", "DELETE", keyOne).checkOutput(t, 1, noDeletes, noDeletesReason, "environmentType")
	runOsgate(t, settings, "explain", "-token-client", "app-reports", "PUT", keyOne).checkOutput(t, 1, "app-reports-reads-only", "403 denied")
	runOsgate(t, settings, "explain", "-token-client", "app-reports", "GET", keyOne+"?confirmable=true").checkOutput(t, 1, "app-reports-reads-only")
	runOsgate(t, settings, "explain", "-token-client", "app-reports", "GET", keyOne).checkOutput(t, 0, "everyone")
}

// TestFaultyRulesAreReportedBeforeServing: each command that reads the configuration
// reports the file, line and column of an error, and the variable.
func TestFaultyRulesAreReportedBeforeServing(t *testing.T) {
	t.Parallel()
	f := newRules(t, "@id(\"odd\")\nforbid (principal, action, resource)\nwhen { resource.environmentTyp == \"production\" };\n")
	empty := t.TempDir()
	for _, command := range []string{"serve", "check"} {
		runOsgate(t, []string{"POLICY=" + filepath.Dir(f.path)}, command).checkOutput(t, 2, "OSGATE_POLICY", "rules.cedar:3:")
		runOsgate(t, []string{"POLICY=" + f.path}, command).checkOutput(t, 2, "OSGATE_POLICY", "rules.cedar:3:")
		runOsgate(t, []string{"POLICY=" + empty}, command).checkOutput(t, 2, "OSGATE_POLICY", "no .cedar file")
		runOsgate(t, []string{"POLICY=" + filepath.Join(empty, "absent")}, command).checkOutput(t, 2, "OSGATE_POLICY", "absent")
	}
}
