package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// forbidRule is a rule of this id on reads of keys under a condition.
func forbidRule(id, scope, condition string) string {
	return "@id(\"" + id + "\")\n@reason(\"no " + id + "\")\nforbid (" + scope + ")\nwhen { " + condition + " };\n"
}

const anyScope = "principal, action, resource"

// TestRulesReadHeadersAndAddresses: rules read only the headers that the configuration
// names, and the client addresses behind trusted proxies.
func TestRulesReadHeadersAndAddresses(t *testing.T) {
	t.Parallel()
	f := newRules(t,
		forbidRule("header", anyScope, `context.headers has "x-app" && context.headers["x-app"] like "*batch*"`)+
			forbidRule("host", anyScope, `context.headers has "host" && context.headers["host"] == "batch.example"`)+
			forbidRule("network", anyScope, `context.sourceIP.isInRange(ip("10.0.0.0/8")) || context.sourceIP.isInRange(ip("2001:db8::/32"))`))
	s := newStack(t, false)
	g := s.gateway(f.setting(), "POLICY_HEADERS=X-App,Host", "TRUSTED_PROXIES=127.0.0.0/8,::1/128", "RATE=0")
	one := g.as("app-one")
	one.get(keyOne, "X-App: batch").checkDenial("header", "no header")
	one.get(keyOne, "X-App: online", "x-app: batch").checkDenial("header", "no header")
	one.get(keyOne, "X-App: online").is(http.StatusOK)
	one.get(keyOne, "Host: batch.example").checkDenial("host", "no host")
	one.get(keyOne, "X-Forwarded-For: 10.1.2.3").checkDenial("network", "no network")
	one.get(keyOne, "X-Forwarded-For: 192.0.2.1, 10.1.2.3").checkDenial("network", "no network")
	one.get(keyOne, "X-Forwarded-For: 10.1.2.3, 192.0.2.1").is(http.StatusOK)
	one.get(keyOne, "X-Forwarded-For: ::ffff:10.1.2.3").checkDenial("network", "no network")
	one.get(keyOne, "X-Forwarded-For: 2001:db8::1").checkDenial("network", "no network")
	wary := s.gateway(f.setting(), "POLICY_HEADERS=X-App,Host", "RATE=0")
	one.via(wary).get(keyOne, "X-Forwarded-For: 10.1.2.3").is(http.StatusOK)
	runOsgate(t, []string{f.setting()}, "check").checkOutput(t, 2, "OSGATE_POLICY", "rules.cedar:3:", "x-app")
}

// TestRulesReadUsersAndOperations: rules name users, and apply to statistics too.
func TestRulesReadUsersAndOperations(t *testing.T) {
	t.Parallel()
	f := newRules(t,
		forbidRule("people-read", `principal == User::"user-admin", action in [Action::"write", Action::"delete"], resource`, "true")+
			forbidRule("statistics", `principal == Client::"app-two", action == Action::"readStats", resource`, "true")+
			forbidRule("confirmable", `principal, action in Action::"write", resource`, `context.confirmable`))
	g := newStack(t, false).gateway(f.setting(), "RATE=0")
	one, two, person := g.as("app-one"), g.as("app-two"), g.client()
	person.token = person.send(http.MethodPost, "/accounts/login", `{"username":"admin","password":"admin-password"}`, "Content-Type: application/json").is(http.StatusOK).token()
	person.get(keyOne).is(http.StatusOK)
	a := person.put("KeyOne", "v")
	a.checkDenial("people-read", "no people-read")
	g.checkAccessLog(a, map[string]any{"user": "user-admin"})
	one.put("KeyOne", "v").succeeded()
	now := time.Now()
	statistics := "/api/v1/organizations/org-root" + statsQuery(now.Add(-time.Hour), now, "1hour")
	two.get(statistics).checkDenial("statistics", "no statistics")
	one.get(statistics).is(http.StatusOK)
	one.get(keyOne+"?confirmable=true").checkDenial("confirmable", "no confirmable")
	one.send(http.MethodHead, keyOne+"?confirmable=true", "").is(http.StatusForbidden)
	one.get(keyOne).is(http.StatusOK)
}

// TestShadowRulesAreReportedAndRefuseNothing sets shadow mode for single rules, and by
// the variable for all of them.
func TestShadowRulesAreReportedAndRefuseNothing(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	soon := strings.Replace(forbidRule("soon", anyScope, `resource.key == "KeyOne"`), "@reason", "@mode(\"shadow\")\n@reason", 1)
	one := s.gateway(newRules(t, soon).setting(), "RATE=0")
	a := one.as("app-one").get(keyOne).is(http.StatusOK)
	one.checkAccessLog(a, map[string]any{"rule": "all", "shadow": []string{"soon"}})
	eventually(t, "the shadow denial to be counted", func() bool {
		return one.hasMetricLine(decisionsMetric("soon", "shadow", 1)) && one.hasMetricLine(decisionsMetric("all", "allow", 1))
	})

	f := newRules(t, forbidRule("now", `principal, action == Action::"getKey", resource`, "true")+valueLimitRule+
		forbidRule("ttl", `principal, action == Action::"putStore", resource`, `context has ttlSeconds && context.ttlSeconds > 60`))
	all := s.gateway(f.setting(), "POLICY_SHADOW=true", "RATE=0")
	app := all.as("app-one")
	all.checkAccessLog(app.get(keyOne).is(http.StatusOK), map[string]any{"shadow": []string{"now"}})
	app.send(http.MethodPut, demoStore, `{"storeId":"APP_demo__defaultPersistentObjectStore","x":"`+strings.Repeat("x", 5000)+`"}`, "Content-Type: application/json").succeeded()
	u := all.upload(t, app.token, "Transfer-Encoding: chunked")
	value := stringValue("KeyOne", strings.Repeat("v", valueLimit))
	u.write(fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(value), value))
	all.checkAccessLog(u.answer().succeeded(), map[string]any{"shadow": []string{"small"}})
}

// TestRulesReadTheDiscoveredRegion: rules see the region that discovery has found.
func TestRulesReadTheDiscoveredRegion(t *testing.T) {
	t.Parallel()
	f := newRules(t, forbidRule("east-only", `principal, action in Action::"read", resource`, `resource.region == "us-west-2"`))
	g := newStack(t, false).gateway(f.setting(), "DISCOVER=true", "DEFAULT_REGION=", "RATE=0", "PLANES=us")
	one := g.as("app-one")
	for region, want := range map[string]int{"us-east-2": http.StatusOK, "us-west-2": http.StatusForbidden} {
		store := prodStores + "/APP_in_" + region
		one.send(http.MethodPut, "/us/"+region+store, `{"storeId":"APP_in_`+region+`"}`, "Content-Type: application/json").succeeded()
		for range 2 { // when the region is found, and when it is known
			if a := one.get(store).is(want); want == http.StatusForbidden {
				a.checkDenial("east-only", "no east-only")
			}
		}
	}
}

// TestRulesReadNamesAsObjectStoreDoes: a rule matches a name in each of its encodings.
func TestRulesReadNamesAsObjectStoreDoes(t *testing.T) {
	t.Parallel()
	f := newRules(t,
		forbidRule("plus", anyScope, `resource.key == "a+b"`)+forbidRule("slash", anyScope, `resource in Store::"env-prod/APP%2Fx"`)+
			forbidRule("text", anyScope, `resource.store == "APP/y"`)+forbidRule("umlaut", anyScope, `resource.key == "ä*"`))
	g := newStack(t, false).gateway(f.setting(), "RATE=0")
	one := g.as("app-one")
	for target, rule := range map[string]string{
		demoKeys + "/a+b": "plus", demoKeys + "/a%20b": "plus", demoKeys + "/a%2Bb": "plus", demoKeys + "/%61%2b%62": "plus", "/api/v1" + demoKeys + "/a+b": "plus",
		prodStores + "/APP%2Fx": "slash", prodStores + "/APP%2fx/partitions/p/keys/k": "slash", prodStores + "/%41PP%2Fy/partitions": "text",
		demoKeys + "/%C3%A4*": "umlaut", demoKeys + "/%c3%a4%2A": "umlaut",
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			if a := one.send(method, target, ""); a.status != http.StatusForbidden && a.status != http.StatusNotFound || method == http.MethodGet && a.status == http.StatusNotFound {
				t.Errorf("%s %s: %d, want 403", method, target, a.status)
			}
		}
		one.get(target).checkDenial(rule, "no "+rule)
	}
	one.get(demoKeys + "/a%252Bb").is(http.StatusNotFound)
	one.get(prodStores + "/APP%252Fx").is(http.StatusNotFound)
}
