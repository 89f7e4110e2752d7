package policy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"osgate/auth"
	"osgate/objectstore"
	"osgate/policy"
)

const (
	noDeletes = `@id("no-deletes") @reason("nothing is deleted here") forbid(principal, action in Action::"delete", resource);` + "\n"
	overflow  = `context.valueBytes + 9223372036854775807 > 0` // fails for any body that has bytes
	failing   = `@id("failing") @reason("why") forbid(principal, action, resource) when { ` + overflow + " };\n"
)

func TestDecisionsNameTheirRule(t *testing.T) {
	shadow := `@mode("shadow") `
	erring := []policy.RuleError{{Rule: "failing", Message: "integer overflow"}}
	for _, tt := range []struct {
		name, rules string
		want        policy.Decision
	}{
		{"a permit", permitAll, policy.Decision{Allowed: true, Rule: "all"}},
		{"the first of two permits", permitAll + strings.Replace(permitAll, "all", "too", 1), policy.Decision{Allowed: true, Rule: "all"}},
		{"nothing permits", `permit(principal == Client::"app-two", action, resource);`, policy.Decision{Rule: "default", Reason: "denied by policy"}},
		{"forbid beats permit", noDeletes + permitAll, policy.Decision{Rule: "no-deletes", Reason: "nothing is deleted here"}},
		{"forbid beats an earlier permit", permitAll + noDeletes, policy.Decision{Rule: "no-deletes", Reason: "nothing is deleted here"}},
		{
			"the first of two forbids, be it for this client and the other for all",
			permitAll + `@id("one") forbid(principal == Client::"app-one", action, resource);` + noDeletes, policy.Decision{Rule: "one", Reason: "denied by policy"},
		},
		{"names and reasons may be left out", "permit(principal, action, resource);\nforbid(principal, action, resource);", policy.Decision{Rule: "p.cedar:2", Reason: "denied by policy"}},
		{"mode enforce is the default", permitAll + `@mode("enforce") ` + noDeletes, policy.Decision{Rule: "no-deletes", Reason: "nothing is deleted here"}},
		{
			"a forbid in shadow mode is told and denies nothing", permitAll + shadow + noDeletes,
			policy.Decision{Allowed: true, Rule: "all", Shadow: []policy.Denial{{Rule: "no-deletes", Reason: "nothing is deleted here"}}},
		},
		{
			"a permit in shadow mode is told and permits nothing", shadow + permitAll,
			policy.Decision{Rule: "default", Reason: "denied by policy", ShadowPermits: []string{"all"}},
		},
		{
			"a shadow denial is told beside a denial", permitAll + shadow + noDeletes + strings.Replace(noDeletes, "no-deletes", "too", 1),
			policy.Decision{Rule: "too", Reason: "nothing is deleted here", Shadow: []policy.Denial{{Rule: "no-deletes", Reason: "nothing is deleted here"}}},
		},
		{
			"a forbid that fails denies", permitAll + failing,
			policy.Decision{Rule: "failing", Reason: "denied by policy: a rule could not be evaluated", Errors: erring},
		},
		{
			"a forbid that holds is named before one that fails", permitAll + failing + noDeletes,
			policy.Decision{Rule: "no-deletes", Reason: "nothing is deleted here", Errors: erring},
		},
		{
			"a forbid in shadow mode that fails is a shadow denial", permitAll + shadow + failing,
			policy.Decision{Allowed: true, Rule: "all", Errors: erring, Shadow: []policy.Denial{{Rule: "failing", Reason: "denied by policy: a rule could not be evaluated"}}},
		},
		{
			"a permit that fails does not permit", strings.Replace(failing, "forbid", "permit", 1),
			policy.Decision{Rule: "default", Reason: "denied by policy", Errors: erring},
		},
		{
			"a permit that fails is told beside one that holds", strings.Replace(failing, "forbid", "permit", 1) + permitAll,
			policy.Decision{Allowed: true, Rule: "all", Errors: erring},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := load(t, tt.rules).Decide(requestOf(t, "DELETE "+keyOne, func(r *policy.Request) { r.ValueBytes = 1 }))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestShadowOptionReportsDenialsAndPermitsAll(t *testing.T) {
	folder := write(t, "p.cedar", noDeletes+`@id("reads") permit(principal, action in Action::"read", resource);`)
	p, err := policy.Load(policy.Options{Path: folder, Shadow: true})
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]policy.Decision{
		"DELETE " + keyOne: {Allowed: true, Shadow: []policy.Denial{{Rule: "no-deletes", Reason: "nothing is deleted here"}}},
		"PUT " + keyOne:    {Allowed: true, Shadow: []policy.Denial{{Rule: "default", Reason: "denied by policy"}}},
		"GET " + keyOne:    {Allowed: true, Rule: "reads"},
	} {
		if diff := cmp.Diff(want, p.Decide(requestOf(t, line))); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", line, diff)
		}
	}
	if s := p.State(); s.Rules != 2 || s.Shadowed != 2 {
		t.Errorf("state %+v, want 2 rules, both in shadow mode", s)
	}
}

// TestAShadowPermitIsReportedOnlyIfItWouldChangeTheDecision.
func TestAShadowPermitIsReportedOnlyIfItWouldChangeTheDecision(t *testing.T) {
	const shadow = `@id("s") @mode("shadow") permit(principal, action, resource);` + "\n"
	for rules, want := range map[string]policy.Decision{
		shadow + permitAll: {Allowed: true, Rule: "all"},
		shadow + `@id("puts") permit(principal, action == Action::"putKey", resource);`: {Rule: "default", Reason: "denied by policy", ShadowPermits: []string{"s"}},
	} {
		if diff := cmp.Diff(want, load(t, rules).Decide(requestOf(t, "GET "+keyOne))); diff != "" {
			t.Errorf("%s (-want +got)\n%s", rules, diff)
		}
	}
}

// A forbid that reads an absent fact must not let the request through, and its error
// must not contain names.
func TestFactsThatAreNotThereFailClosedAndUnnamed(t *testing.T) {
	for _, rule := range []string{
		`forbid(principal, action, resource) when { context.sourceIP.isLoopback() };`,
		`forbid(principal, action, resource) when { context.time < datetime("2020-01-01") };`,
		`forbid(principal, action, resource) when { Store::"env-prod/other".store == "KeyOne" };`,
	} {
		d := load(t, permitAll+rule).Decide(policy.Request{Principal: &auth.Principal{Client: "app-one"}, Operation: requestOf(t, "GET "+keyOne).Operation})
		if d.Allowed || d.Rule != "p.cedar:2" || len(d.Errors) != 1 {
			t.Fatalf("%s: %+v, want a denial by the second rule with its error", rule, d)
		}
		if text := d.Errors[0].Error() + d.Reason; strings.Contains(text, "KeyOne") || strings.Contains(text, "app-one") || strings.Contains(text, "other") {
			t.Errorf("%s: %q contains a name", rule, text)
		}
	}
}

// A condition may name an entity. The action's groups are known, and no entity but the
// request's own has attributes.
func TestConditionsReadTheEntitiesOfTheRequest(t *testing.T) {
	const absent = "it reads an attribute of an entity that is not part of the request"
	for _, tt := range []struct {
		condition, line string
		want            policy.Decision
	}{
		{`action in Action::"read"`, "GET " + keyOne, policy.Decision{Allowed: true, Rule: "r"}},
		{`action in Action::"read"`, "PUT " + keyOne, policy.Decision{Rule: "default", Reason: "denied by policy"}},
		{
			`Store::"env-prod/other".store == "other"`, "GET " + keyOne,
			policy.Decision{Rule: "default", Reason: "denied by policy", Errors: []policy.RuleError{{Rule: "r", Message: absent}}},
		},
		{`(if true then resource else resource) has other`, "GET " + keyOne, policy.Decision{Rule: "default", Reason: "denied by policy"}},
		{`(if true then resource else resource) has key`, "GET " + keyOne, policy.Decision{Allowed: true, Rule: "r"}},
		{`(if true then context else context).valueBytes == 0`, "GET " + keyOne, policy.Decision{Allowed: true, Rule: "r"}},
	} {
		p := load(t, `@id("r") permit(principal, action, resource) when { `+tt.condition+` };`)
		if diff := cmp.Diff(tt.want, p.Decide(requestOf(t, tt.line))); diff != "" {
			t.Errorf("%s: %s (-want +got)\n%s", tt.line, tt.condition, diff)
		}
	}
}

func TestAnUnknownOperationIsDenied(t *testing.T) {
	rules := load(t, permitAll+noDeletes).Rules()
	for _, kind := range []objectstore.Kind{0, 31, 32, 100} { // 31 is the last one that has a slot
		r := requestOf(t, "GET "+keyOne, func(r *policy.Request) { r.Operation.Kind = kind })
		want := policy.Decision{Rule: policy.DefaultRule, Reason: "denied by policy"}
		if diff := cmp.Diff(want, rules.Decide(r)); diff != "" {
			t.Errorf("kind %d (-want +got)\n%s", kind, diff)
		}
		if d := rules.DecideWithoutBody(r); !d.Allowed || d.Rule != "" {
			t.Errorf("kind %d without its body: %+v, want no decision", kind, d)
		}
	}
}

func TestNobodyIsNoPrincipal(t *testing.T) {
	r := requestOf(t, "GET "+keyOne, func(r *policy.Request) { r.Principal = nil })
	p := load(t, `permit(principal is Client, action, resource); permit(principal in Organization::"org-root", action, resource);
		permit(principal, action, resource) when { principal in Organization::"org-root" };`)
	if d := p.Decide(r); d.Allowed || len(d.Errors) > 0 {
		t.Errorf("%+v, want a denial", d)
	}
}

func TestNeedsAreWhatSomeRuleReads(t *testing.T) {
	for _, tt := range []struct {
		rules string
		line  string
		want  policy.Needs
	}{
		{permitAll, "PUT " + keyOne, policy.Needs{}},
		{when(`resource.environmentType == "production"`), "PUT " + keyOne, policy.Needs{EnvironmentType: true}},
		{when(`context.valueBytes < 5`), "PUT " + keyOne, policy.Needs{ValueBytes: true}},
		{when(`context.valueType == "STRING"`), "PUT " + keyOne, policy.Needs{Value: true, Type: true}},
		{`@mode("shadow") ` + when(`context.valueType == "STRING"`), "PUT " + keyOne, policy.Needs{Value: true}},
		{when(`context has ttlSeconds`), "PUT " + billing, policy.Needs{Value: true, Definition: true}},
		{`@mode("shadow") ` + when(`context has ttlSeconds`), "PUT " + billing, policy.Needs{Value: true}},
		{
			when(`(if 1 < 2 then context else context).confirmable`), "PUT " + keyOne,
			policy.Needs{Value: true, Type: true, Definition: true, ValueBytes: true, SourceIP: true, Issuer: true, Headers: []string{"x-a", "x-b"}},
		},
		{when(`context has issuer`), "PUT " + keyOne, policy.Needs{Issuer: true}},
		{when(`context.headers has "x-b" || context.headers has "x-a"`), "PUT " + keyOne, policy.Needs{Headers: []string{"x-a", "x-b"}}},
	} {
		p := load(t, tt.rules, "X-A", "x-b")
		if diff := cmp.Diff(tt.want, p.Needs()); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", tt.rules, diff)
		}
		if diff := cmp.Diff(tt.want, p.Rules().NeedsOf(requestOf(t, tt.line).Operation)); diff != "" {
			t.Errorf("%s of %s: (-want +got)\n%s", tt.rules, tt.line, diff)
		}
	}
}

func TestNeedsOfAnOperationLeavesOutRulesForOthers(t *testing.T) {
	p := load(t, permitAll+`forbid(principal, action == Action::"putKey", resource) when { context.valueType == "BINARY" };`)
	if got := p.Rules().NeedsOf(requestOf(t, "PUT "+keyOne).Operation); !got.Value {
		t.Errorf("putKey needs %+v, want the value", got)
	}
	if got := p.Rules().NeedsOf(requestOf(t, "POST "+keyOne).Operation); got.Value {
		t.Errorf("postKey needs %+v, want nothing", got)
	}
}
