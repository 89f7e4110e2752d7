package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"osgate/auth"
	"osgate/policy"
)

func TestADenialIsForegoneWhereTheBodyCannotChangeIt(t *testing.T) {
	const (
		large = `@id("large") @reason("why") forbid(principal, action, resource) when { context.valueBytes > 9 };` + "\n"
		typed = `@id("typed") forbid(principal, action, resource) when { context.valueType == "BINARY" };` + "\n"
		brief = `@id("brief") forbid(principal, action, resource) unless { context has ttlSeconds };` + "\n"
		soon  = `@id("soon") @mode("shadow") `
	)
	open := policy.Decision{Allowed: true}
	for _, tt := range []struct {
		name, rules string
		bytes       int64
		want        policy.Decision
	}{
		{"by its size", permitAll + typed + large, 10, policy.Decision{Rule: "large", Reason: "why"}},
		{"not by a size that is fine", permitAll + typed + large, 9, open},
		{"by the size of nothing", permitAll + typed + strings.Replace(large, "> 9", "< 9", 1), 0, policy.Decision{Rule: "large", Reason: "why"}},
		{"not by a size that is unknown", permitAll + strings.Replace(large, "> 9", "< 9", 1), -1, open},
		{"not by its type or TTL", permitAll + typed + brief, 10, open},
		{"not because nothing permits", typed, 10, open},
		{"not in shadow mode", permitAll + soon + strings.Replace(large, `@id("large")`, "", 1), 10, open},
		{
			"by one that fails", permitAll + typed + failing, 10, policy.Decision{
				Rule: "failing", Reason: "denied by policy: a rule could not be evaluated", Errors: []policy.RuleError{{Rule: "failing", Message: "integer overflow"}},
			},
		},
		{
			"with what shadow rules say for certain", permitAll + soon + `forbid(principal, action, resource);` + large + `@mode("shadow") ` + typed, 10,
			policy.Decision{Rule: "large", Reason: "why", Shadow: []policy.Denial{{Rule: "soon", Reason: "denied by policy"}}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := load(t, tt.rules).Rules().DecideWithoutBody(requestOf(t, "PUT "+keyOne, func(r *policy.Request) { r.ValueBytes = tt.bytes }))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	if d := (*policy.Rules)(nil).DecideWithoutBody(policy.Request{}); !d.Allowed {
		t.Errorf("without a policy: %+v", d)
	}
	folder := write(t, "p.cedar", permitAll+large)
	all, err := policy.Load(policy.Options{Path: folder, Shadow: true})
	if err != nil {
		t.Fatal(err)
	}
	if d := all.Rules().DecideWithoutBody(requestOf(t, "PUT "+keyOne, func(r *policy.Request) { r.ValueBytes = 10 })); !d.Allowed {
		t.Errorf("with all rules in shadow mode: %+v", d)
	}
}

// TestForegoneRequestsAreDeniedForEveryBody of random rules and requests.
func TestForegoneRequestsAreDeniedForEveryBody(t *testing.T) {
	folder := t.TempDir()
	conditions := slices.Concat(someConditions, []string{`when { context.valueType == "STRING" }`, `unless { context has ttlSeconds }`, `when { context has ttlSeconds && context.ttlSeconds > 5 }`})
	rapid.Check(t, func(t *rapid.T) {
		rules := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
			effect := rapid.SampledFrom([]string{"permit", "forbid", `@mode("shadow") forbid`}).Draw(t, "effect")
			rule, _, _ := strings.Cut(drawRule(t, effect), ") ")
			return rule + ") " + rapid.SampledFrom(conditions).Draw(t, "condition") + ";"
		}), 1, 5).Draw(t, "rules")
		rs := loadRules(t, folder, rules).Rules()
		for range 10 {
			r := drawRequest(t)
			if rapid.Bool().Draw(t, "of unknown size") {
				r.ValueBytes = -1
			}
			if rs.DecideWithoutBody(r).Allowed {
				continue
			}
			r.ValueType = rapid.SampledFrom([]string{"", "STRING", "NUMBER"}).Draw(t, "type")
			r.TTLSeconds = rapid.Int64Range(-1, 10).Draw(t, "TTL")
			if r.ValueBytes < 0 {
				r.ValueBytes = rapid.Int64Range(0, 20).Draw(t, "size")
			}
			if d := rs.Decide(r); d.Allowed {
				t.Fatalf("%s\n%+v was foregone and is %+v", strings.Join(rules, "\n"), r, d)
			}
		}
	})
}

func TestNeedsForAPrincipalLeaveOutRulesForOthers(t *testing.T) {
	rs := load(t, permitAll+`
		forbid(principal == Client::"app-two", action, resource) when { context.sourceIP.isLoopback() };
		forbid(principal in Organization::"org-root", action, resource) when { resource.region == "x" };
		forbid(principal, action in Action::"delete", resource) when { resource.environmentType == "x" };
		forbid(principal, action in Action::"write", resource) when { context.headers has "x-a" };`, "x-a").Rules()
	for _, tt := range []struct {
		line string
		who  *auth.Principal
		want policy.Needs
	}{
		{"GET " + keyOne, &auth.Principal{Client: "app-one"}, policy.Needs{}},
		{"GET " + keyOne, &auth.Principal{Client: "app-two"}, policy.Needs{SourceIP: true}},
		{"PUT " + keyOne, &auth.Principal{Client: "app-one", Organizations: []string{"org-root"}}, policy.Needs{Region: true, Headers: []string{"x-a"}}},
		{"DELETE " + keyOne, nil, policy.Needs{EnvironmentType: true}},
	} {
		if diff := cmp.Diff(tt.want, rs.NeedsFor(requestOf(t, tt.line).Operation, tt.who)); diff != "" {
			t.Errorf("%s of %v: (-want +got)\n%s", tt.line, tt.who, diff)
		}
	}
	if diff := cmp.Diff(policy.Needs{}, (*policy.Rules)(nil).NeedsFor(requestOf(t, "GET "+keyOne).Operation, nil)); diff != "" {
		t.Error(diff)
	}
}
