package policy_test

import (
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"osgate/auth"
	"osgate/policy"
)

// More conditions, about facts of which a question contains only some.
var moreConditions = []string{
	`when { [Client::"app-one", User::"u-2"].contains(principal) }`, `unless { principal == Client::"?" }`, `when { principal == User::"u-1" }`,
	`when { context.client like "app-t*" }`, `when { context has user }`, `when { context.identifiedBy == "jwt" }`,
	`when { context has issuer && context.issuer == "i" }`, `when { resource.environment == "env-prod" }`, `when { resource.partition == "p" }`,
	`when { resource.organization == "org-sub" }`, `when { resource in Environment::"env-test" }`, `when { context.time > datetime("1999-01-01") }`,
	`when { context.sourceIP == ip("127.0.0.1") }`, `when { resource.region == "us-east-1" }`, `when { resource.plane == "us" }`,
}

// A decision that is remembered is the one that an evaluation of all facts makes, with its
// rule, reason, shadow rules and errors.
func TestRememberedDecisionsAreThoseOfAnEvaluation(t *testing.T) {
	folder := t.TempDir()
	effects := rapid.SampledFrom([]string{"permit", "permit", "forbid", `@mode("shadow") forbid`, `@mode("shadow") permit`})
	rapid.Check(t, func(t *rapid.T) {
		rules := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
			rule := drawRule(t, effects.Draw(t, "effect"))
			return strings.TrimSuffix(rule, ";") + " " + rapid.SampledFrom(moreConditions).Draw(t, "more") + ";"
		}), 1, 5).Draw(t, "rules")
		rs := loadRules(t, folder, rules).Rules()
		for range 20 {
			r := drawRequest(t)
			r.Region = rapid.SampledFrom([]string{"us-east-1", "us-west-2", ""}).Draw(t, "region")
			r.EnvironmentType = rapid.SampledFrom([]string{"production", ""}).Draw(t, "type")
			if p := *r.Principal; rapid.Bool().Draw(t, "other") {
				p.Client, p.Method = rapid.SampledFrom([]string{"?", "app-three"}).Draw(t, "name"), auth.ByJWT
				p.Issuer = rapid.SampledFrom([]string{"", "i"}).Draw(t, "issuer")
				r.Principal = &p
			}
			if diff := cmp.Diff(rs.Evaluate(r), rs.Decide(r)); diff != "" {
				t.Fatalf("%s\n%+v\n(-evaluated +remembered)\n%s", strings.Join(rules, "\n"), r, diff)
			}
		}
	})
}

// Each fact that a rule reads changes a decision that is remembered already.
func TestNoFactThatARuleReadsIsForgotten(t *testing.T) {
	user := func(r *policy.Request) { r.Principal = &auth.Principal{User: "u-1"} }
	jwt := func(r *policy.Request) {
		r.Principal = &auth.Principal{Client: "app-one", Method: auth.ByJWT, Issuer: "i"}
	}
	const get = "GET " + keyOne
	for _, tt := range []struct {
		forbid string // of the second request only
		first  string
		second string
		edit   func(*policy.Request) // of the second request
	}{
		{`action == Action::"putKey"`, get, "PUT " + keyOne, nil},
		{`action in Action::"write"`, get, get + "?confirmable=true", nil},
		{`context.confirmable`, get, get + "?confirmable=true", nil},
		{`resource.organization == "o"`, get, strings.Replace(get, "org-root", "o", 1), nil},
		{`resource in Organization::"o"`, get, strings.Replace(get, "org-root", "o", 1), nil},
		{`resource.environment == "e"`, get, strings.Replace(get, "env-prod", "e", 1), nil},
		{`resource in Environment::"e"`, get, strings.Replace(get, "env-prod", "e", 1), nil},
		{`resource.store == "s"`, get, strings.Replace(get, "APP_billing__default", "s", 1), nil},
		{`resource in Store::"s"`, get, strings.Replace(get, "APP_billing__default", "s", 1), nil},
		{`resource in Store::"e/s"`, get, strings.NewReplacer("APP_billing__default", "s", "env-prod", "e").Replace(get), nil},
		{`resource.partition == "p"`, get, strings.Replace(get, "DEFAULT_PARTITION", "p", 1), nil},
		{`resource in Partition::"env-prod/APP_billing__default/p"`, get, strings.Replace(get, "DEFAULT_PARTITION", "p", 1), nil},
		{`resource.key == "k"`, get, strings.Replace(get, "KeyOne", "k", 1), nil},
		{`resource == Key::"env-prod/APP_billing__default/DEFAULT_PARTITION/k"`, get, strings.Replace(get, "KeyOne", "k", 1), nil},
		{`resource.plane == "eu"`, get, get, func(r *policy.Request) { r.Plane = "eu" }},
		{`resource.region == "r"`, get, get, func(r *policy.Request) { r.Region = "r" }},
		{`resource.environmentType == "design"`, get, get, func(r *policy.Request) { r.EnvironmentType = "design" }},
		{`principal == Client::"a"`, get, get, func(r *policy.Request) { r.Principal = &auth.Principal{Client: "a"} }},
		{`principal != Client::"app-one"`, get, get, func(r *policy.Request) { r.Principal = &auth.Principal{Client: "a"} }},
		{`principal == User::"u-1"`, get, get, user},
		{`principal is User`, get, get, user},
		{`principal in Organization::"o"`, get, get, func(r *policy.Request) {
			r.Principal = &auth.Principal{Client: "app-one", Organizations: []string{"o"}}
		}},
		{`context.client == "a"`, get, get, func(r *policy.Request) { r.Principal = &auth.Principal{Client: "a"} }},
		{`context has user && context.user == "u-1"`, get, get, user},
		{`context.identifiedBy == "jwt"`, get, get, jwt},
		{`context has issuer && context.issuer == "i"`, get, get, jwt},
		{`context.sourceIP == ip("192.0.2.1")`, get, get, func(r *policy.Request) { r.SourceIP = netip.MustParseAddr("192.0.2.1") }},
		{`context.time > datetime("2026-12-01")`, get, get, func(r *policy.Request) { r.Time = r.Time.Add(30 * 24 * time.Hour) }},
		{`context.valueBytes > 9`, get, get, func(r *policy.Request) { r.ValueBytes = 10 }},
		{`context.valueType == "BINARY"`, "PUT " + keyOne, "PUT " + keyOne, func(r *policy.Request) { r.ValueType = "BINARY" }},
		{`context has ttlSeconds && context.ttlSeconds > 9`, "PUT " + billing, "PUT " + billing, func(r *policy.Request) { r.TTLSeconds = 10 }},
		{`context.headers has "x-app"`, get, get, func(r *policy.Request) { r.Headers = map[string]string{"x-app": "a"} }},
	} {
		t.Run(tt.forbid, func(t *testing.T) {
			p := loadForbid(t, tt.forbid)
			first := requestOf(t, tt.first)
			second := requestOf(t, tt.second)
			if tt.edit != nil {
				tt.edit(&second)
			}
			for range 2 { // the second time, both are remembered
				if d := p.Decide(first); !d.Allowed {
					t.Errorf("the first request: %+v", d)
				}
				if d := p.Decide(second); d.Allowed {
					t.Errorf("the second request: %+v", d)
				}
			}
		})
	}
}

// loadForbid loads a forbid with this condition, for all actions that have the facts of
// the condition.
func loadForbid(t *testing.T, condition string) *policy.Policy {
	t.Helper()
	action := "action"
	switch {
	case strings.HasPrefix(condition, "context has ttl"):
		action = `action == Action::"putStore"`
	case strings.HasPrefix(condition, "context.valueType"):
		action = `action == Action::"putKey"`
	}
	return load(t, permitAll+"forbid(principal, "+action+", resource) when { "+condition+" };", "x-app")
}

// With the rules of the benchmark of the whole gateway, the decision for one client and
// key is that for all clients and keys that the rules do not name, without garbage.
func TestADecisionServesAllStrangers(t *testing.T) {
	text, err := os.ReadFile("../bench/policy.cedar")
	if err != nil {
		t.Fatal(err)
	}
	rules := load(t, string(text)).Rules()
	var requests []policy.Request
	for i := range 200 {
		name := strconv.Itoa(i)
		requests = append(requests, requestOf(t, "GET "+partition+"/keys/of-"+name, func(r *policy.Request) {
			r.Principal = &auth.Principal{Client: "app-" + name}
		}))
	}
	if n := testing.AllocsPerRun(len(requests)-1, func() {
		rules.Decide(requests[0])
		requests = requests[1:]
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
