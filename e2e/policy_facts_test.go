package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// forbids is a rule of this id on reads of keys under a condition.
func forbids(id, scope, condition string) string {
	return "@id(\"" + id + "\")\n@reason(\"no " + id + "\")\nforbid (" + scope + ")\nwhen { " + condition + " };\n"
}

const anyone = "principal, action, resource"

// TestRulesReadHeadersAndAddresses that the configuration names and believes, and no others.
func TestRulesReadHeadersAndAddresses(t *testing.T) {
	t.Parallel()
	f := newRules(t,
		forbids("header", anyone, `context.headers has "x-app" && context.headers["x-app"] like "*batch*"`)+
			forbids("host", anyone, `context.headers has "host" && context.headers["host"] == "batch.example"`)+
			forbids("network", anyone, `context.sourceIP.isInRange(ip("10.0.0.0/8")) || context.sourceIP.isInRange(ip("2001:db8::/32"))`))
	s := newStack(t, false)
	g := s.gateway(f.setting(), "POLICY_HEADERS=X-App,Host", "TRUSTED_PROXIES=127.0.0.0/8,::1/128", "RATE=0")
	one := g.as("app-one")
	one.get(keyOne, "X-App: batch").denied("header", "no header")
	one.get(keyOne, "X-App: online", "x-app: batch").denied("header", "no header")
	one.get(keyOne, "X-App: online").is(http.StatusOK)
	one.get(keyOne, "Host: batch.example").denied("host", "no host")
	one.get(keyOne, "X-Forwarded-For: 10.1.2.3").denied("network", "no network")
	one.get(keyOne, "X-Forwarded-For: 192.0.2.1, 10.1.2.3").denied("network", "no network")
	one.get(keyOne, "X-Forwarded-For: 10.1.2.3, 192.0.2.1").is(http.StatusOK)
	one.get(keyOne, "X-Forwarded-For: ::ffff:10.1.2.3").denied("network", "no network")
	one.get(keyOne, "X-Forwarded-For: 2001:db8::1").denied("network", "no network")
	wary := s.gateway(f.setting(), "POLICY_HEADERS=X-App,Host", "RATE=0")
	one.via(wary).get(keyOne, "X-Forwarded-For: 10.1.2.3").is(http.StatusOK)
	osgate(t, []string{f.setting()}, "check").says(t, 2, "OSGATE_POLICY", "rules.cedar:3:", "x-app")
}

// TestUsersAndWhatTheyActForAreJudged: rules name users, and apply to statistics too.
func TestUsersAndWhatTheyActForAreJudged(t *testing.T) {
	t.Parallel()
	f := newRules(t,
		forbids("people-read", `principal == User::"user-admin", action in [Action::"write", Action::"delete"], resource`, "true")+
			forbids("statistics", `principal == Client::"app-two", action == Action::"readStats", resource`, "true")+
			forbids("confirmable", `principal, action in Action::"write", resource`, `context.confirmable`))
	g := newStack(t, false).gateway(f.setting(), "RATE=0")
	one, two, person := g.as("app-one"), g.as("app-two"), g.caller()
	person.token = person.send(http.MethodPost, "/accounts/login", `{"username":"admin","password":"admin-password"}`, "Content-Type: application/json").is(http.StatusOK).token()
	person.get(keyOne).is(http.StatusOK)
	a := person.put("KeyOne", "v")
	a.denied("people-read", "no people-read")
	g.logs(a, map[string]any{"user": "user-admin"})
	one.put("KeyOne", "v").succeeded()
	now := time.Now()
	statistics := "/api/v1/organizations/org-root" + window(now.Add(-time.Hour), now, "1hour")
	two.get(statistics).denied("statistics", "no statistics")
	one.get(statistics).is(http.StatusOK)
	one.get(keyOne+"?confirmable=true").denied("confirmable", "no confirmable")
	one.send(http.MethodHead, keyOne+"?confirmable=true", "").is(http.StatusForbidden)
	one.get(keyOne).is(http.StatusOK)
}

// TestShadowRulesTellAndDoNothing one by one, and all of them by the variable.
func TestShadowRulesTellAndDoNothing(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	soon := strings.Replace(forbids("soon", anyone, `resource.key == "KeyOne"`), "@reason", "@mode(\"shadow\")\n@reason", 1)
	one := s.gateway(newRules(t, soon).setting(), "RATE=0")
	a := one.as("app-one").get(keyOne).is(http.StatusOK)
	one.logs(a, map[string]any{"rule": "all", "shadow": []string{"soon"}})
	eventually(t, "the shadow denial to be counted", func() bool {
		return one.counts(decisions("soon", "shadow", 1)) && one.counts(decisions("all", "allow", 1))
	})

	f := newRules(t, forbids("now", `principal, action == Action::"getKey", resource`, "true")+ceilingRule+
		forbids("ttl", `principal, action == Action::"putStore", resource`, `context has ttlSeconds && context.ttlSeconds > 60`))
	all := s.gateway(f.setting(), "POLICY_SHADOW=true", "RATE=0")
	app := all.as("app-one")
	all.logs(app.get(keyOne).is(http.StatusOK), map[string]any{"shadow": []string{"now"}})
	app.send(http.MethodPut, demoStore, `{"storeId":"APP_demo__defaultPersistentObjectStore","x":"`+strings.Repeat("x", 5000)+`"}`, "Content-Type: application/json").succeeded()
	u := all.upload(t, app.token, "Transfer-Encoding: chunked")
	value := stringValue("KeyOne", strings.Repeat("v", ceiling))
	u.write(fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(value), value))
	all.logs(u.answer().succeeded(), map[string]any{"shadow": []string{"small"}})
}

// TestTheRegionThatIsFoundIsJudged: rules see the region that discovery has found.
func TestTheRegionThatIsFoundIsJudged(t *testing.T) {
	t.Parallel()
	f := newRules(t, forbids("east-only", `principal, action in Action::"read", resource`, `resource.region == "us-west-2"`))
	g := newStack(t, false).gateway(f.setting(), "DISCOVER=true", "DEFAULT_REGION=", "RATE=0", "PLANES=us")
	one := g.as("app-one")
	for region, want := range map[string]int{"us-east-2": http.StatusOK, "us-west-2": http.StatusForbidden} {
		store := prodStores + "/APP_in_" + region
		one.send(http.MethodPut, "/us/"+region+store, `{"storeId":"APP_in_`+region+`"}`, "Content-Type: application/json").succeeded()
		for range 2 { // as it is found, and as it is known
			if a := one.get(store).is(want); want == http.StatusForbidden {
				a.denied("east-only", "no east-only")
			}
		}
	}
}

// TestNamesAreJudgedAsObjectStoreReadsThem however they are written.
func TestNamesAreJudgedAsObjectStoreReadsThem(t *testing.T) {
	t.Parallel()
	f := newRules(t,
		forbids("plus", anyone, `resource.key == "a+b"`)+forbids("slash", anyone, `resource in Store::"env-prod/APP%2Fx"`)+
			forbids("text", anyone, `resource.store == "APP/y"`)+forbids("umlaut", anyone, `resource.key == "ä*"`))
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
		one.get(target).denied(rule, "no "+rule)
	}
	one.get(demoKeys + "/a%252Bb").is(http.StatusNotFound)
	one.get(prodStores + "/APP%252Fx").is(http.StatusNotFound)
}
