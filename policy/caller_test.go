package policy_test

import (
	"strings"
	"testing"

	"osgate/auth"
	"osgate/policy"
)

// callerRules distinguish methods, issuers and names of clients.
const callerRules = `@id("anypoint") permit(principal is Client, action, resource) when { context.identifiedBy == "anypoint" };
@id("one") permit(principal, action, resource) when { context.identifiedBy == "jwt" && context has issuer && context.issuer == "https://one" };
@id("cert") permit(principal, action, resource) when { context.identifiedBy == "mtls" && !(context has issuer) };
@id("space") permit(principal, action, resource) when { context.client like "system:serviceaccount:shop:*" };
@id("user") permit(principal is User, action, resource) when { context.client == "" && context has user && context.user == "u-1" };
`

// TestRulesReadTheMethodOfIdentification checks method, issuer and name.
func TestRulesReadTheMethodOfIdentification(t *testing.T) {
	p := load(t, callerRules)
	for _, tt := range []struct {
		principal *auth.Principal
		rule      string
	}{
		{&auth.Principal{Client: "c"}, "anypoint"},
		{&auth.Principal{Client: "c", Method: auth.ByJWT, Issuer: "https://one"}, "one"},
		{&auth.Principal{Client: "c", Method: auth.ByJWT, Issuer: "https://two"}, policy.DefaultRule},
		{&auth.Principal{Client: "c", Method: auth.ByJWT}, policy.DefaultRule},
		{&auth.Principal{Client: "c", Method: auth.ByMTLS}, "cert"},
		{&auth.Principal{Client: "c", Method: auth.ByMTLS, Issuer: "https://one"}, policy.DefaultRule},
		{&auth.Principal{Client: "system:serviceaccount:shop:cart", Method: auth.ByJWT}, "space"},
		{&auth.Principal{Client: "system:serviceaccount:shop-eu:cart", Method: auth.ByJWT}, policy.DefaultRule},
		{&auth.Principal{User: "u-1"}, "user"},
		{nil, policy.DefaultRule},
	} {
		d := p.Decide(requestOf(t, "GET "+keyOne, func(r *policy.Request) { r.Principal = tt.principal }))
		if d.Rule != tt.rule || len(d.Errors) > 0 {
			t.Errorf("%+v: %+v, want %s", tt.principal, d, tt.rule)
		}
	}
}

const orderedRules = `@id("anypoint") permit(principal, action, resource) when { context.identifiedBy == "anypoint" };
@id("one") permit(principal, action, resource) when { context.identifiedBy == "jwt" && context has issuer && context.issuer == "https://one" };
@id("cert") permit(principal, action, resource) when { context.identifiedBy == "mtls" && context.client == "c" };
`

func TestCasesNameTheMethodAndTheIssuer(t *testing.T) {
	const get = `, "request": "GET /us/us-east-1` + keyOne + `", `
	folder := write(t, "a.cases.json", `[
		{"client": "c"`+get+`"expect": "allow", "rule": "anypoint"},
		{"client": "c", "identifiedBy": "anypoint"`+get+`"expect": "allow", "rule": "anypoint"},
		{"client": "c", "identifiedBy": "jwt", "issuer": "https://one"`+get+`"expect": "allow", "rule": "one"},
		{"client": "c", "identifiedBy": "jwt", "issuer": "https://two"`+get+`"expect": "deny", "rule": "default"},
		{"client": "c", "identifiedBy": "mtls"`+get+`"expect": "allow", "rule": "cert"}
	]`)
	rules := load(t, orderedRules).Rules()
	report, err := policy.RunCases(rules, folder, nil)
	if err != nil || report.Cases != 5 || len(report.Failures) > 0 {
		t.Errorf("%+v, %v", report, err)
	}
	for fields, says := range map[string]string{
		`"client": "c", "identifiedBy": "magic"`:                                     "identifiedBy is",
		`"client": "c", "issuer": "https://one"`:                                     "issuer: a client with an Anypoint token has none",
		`"client": "c", "identifiedBy": "anypoint", "issuer": "https://one"`:         "issuer: a client with an Anypoint token has none",
		`"client": "c", "identifiedBy": "jwt"`:                                       "issuer: it is left out",
		`"user": "u", "identifiedBy": "mtls"`:                                        "user: a client without an Anypoint token",
		`"client": "c", "user": "u", "identifiedBy": "jwt", "issuer": "https://one"`: "user: a client without an Anypoint token",
	} {
		folder := write(t, "a.cases.json", `[{`+fields+get+`"expect": "deny"}]`)
		if _, err := policy.RunCases(rules, folder, nil); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", fields, err, says)
		}
	}
}

func TestReplayKnowsTheMethodAndTheIssuer(t *testing.T) {
	for _, tt := range []struct {
		name, principal string
		more            []any
		permitted       bool
	}{
		{"an Anypoint token", "c", nil, true},
		{"an Anypoint token in a log with methods", "c", []any{"identified_by", "introspect"}, true},
		{"one issuer", "c", []any{"identified_by", "jwt", "issuer", "https://one"}, true},
		{"another issuer", "c", []any{"identified_by", "jwt", "issuer", "https://two"}, false},
		{"a certificate", "c", []any{"identified_by", "mtls", "issuer", "CN=CA"}, true},
		{"another certificate", "d", []any{"identified_by", "mtls", "issuer", "CN=CA"}, false},
	} {
		replay := policy.NewReplay(load(t, orderedRules).Rules(), nil)
		replay.Line(logged("r", "getKey", tt.principal, tt.more...))
		if s := replay.Summary(); (s.Permitted == 1) != tt.permitted || (s.Denied == 1) == tt.permitted {
			t.Errorf("%s: %+v", tt.name, s)
		}
	}
}

// TestReplayTakesABrokeredNameForNoUser checks a name that has the form of a user.
func TestReplayTakesABrokeredNameForNoUser(t *testing.T) {
	rules := `@id("u") permit(principal == User::"u-1", action, resource);`
	for by, permitted := range map[string]int{"anypoint": 1, "jwt": 0} {
		replay := policy.NewReplay(load(t, rules).Rules(), nil)
		replay.Line(logged("r", "getKey", "user:u-1", "identified_by", by))
		if got := replay.Summary(); got.Permitted != permitted {
			t.Errorf("%s: %+v", by, got)
		}
	}
}
