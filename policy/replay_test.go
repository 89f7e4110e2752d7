package policy_test

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"

	"osgate/policy"
)

// logged is a line of the access log; what is empty is left out.
func logged(id, operation, principal string, more ...any) []byte {
	var out bytes.Buffer
	attrs := append([]any{
		"request_id", id, "operation", operation, "principal", principal, "plane", "us", "region", "us-east-1", "organization", "org-root",
		"environment", "env-prod", "store", "APP_billing__default", "remote_addr", "10.0.0.1", "status", 200,
	}, more...)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("exchange", attrs...)
	return out.Bytes()
}

func TestReplayTellsWhatRulesWouldHaveDone(t *testing.T) {
	all := permitAll
	for _, tt := range []struct {
		name, rules string
		line        []byte
		want        policy.Summary
	}{
		{"a permit", all, logged("r", "getKey", "app-one"), policy.Summary{Permitted: 1}},
		{"a forbid", all + noDeletes, logged("r", "deleteKey", "app-one"), policy.Summary{Denied: 1, Rules: []policy.RuleSummary{{Rule: "no-deletes", Denied: 1, Refused: 1, First: "r", Last: "r"}}}},
		{
			"a forbid of what failed then", all + noDeletes, logged("r", "deleteKey", "app-one", "status", 404),
			policy.Summary{Denied: 1, Rules: []policy.RuleSummary{{Rule: "no-deletes", Denied: 1, First: "r", Last: "r"}}},
		},
		{
			"nothing permits", `@id("a") permit(principal == Client::"app-two", action, resource);`, logged("r", "getKey", "app-one"),
			policy.Summary{Denied: 1, Rules: []policy.RuleSummary{{Rule: "default", Denied: 1, Refused: 1, First: "r", Last: "r"}}},
		},
		{"a user", `@id("a") permit(principal == User::"u-1", action, resource);`, logged("r", "getKey", "user:u-1"), policy.Summary{Permitted: 1}},
		{"a user that a client acts for", when(`context has user && context.user == "u-1"`), logged("r", "getKey", "app-one", "user", "u-1"), policy.Summary{Permitted: 1}},
		{"bytes", when(`context.valueBytes == 7`), logged("r", "putKey", "app-one", "request_bytes", 7), policy.Summary{Permitted: 1}},
		{"an address", when(`context.sourceIP == ip("192.0.2.1")`), logged("r", "getKey", "app-one", "client_addr", "192.0.2.1"), policy.Summary{Permitted: 1}},
		{"a store", in(`Store::"env-prod/APP_billing__default"`), logged("r", "listKeys", "app-one"), policy.Summary{Permitted: 1}},
		{"a type of resource", when(`resource is Partition`), logged("r", "listKeys", "app-one"), policy.Summary{Permitted: 1}},
		{"a known type of environment", when(`resource.environmentType == "production"`), logged("r", "getKey", "app-one", "environment", "env-known"), policy.Summary{Permitted: 1}},
		{
			"a shadow rule", all + `@mode("shadow") ` + noDeletes, logged("r", "deleteKey", "app-one"),
			policy.Summary{Permitted: 1, Rules: []policy.RuleSummary{{Rule: "no-deletes", Shadow: 1, First: "r", Last: "r"}}},
		},
		{"a key", all + `@id("k") forbid(principal, action, resource) when { resource.key == "k" };`, logged("r", "getKey", "app-one"), undecided("resource.key")},
		{"a key that does not matter", all + `forbid(principal, action, resource) when { resource.store == "x" && resource.key == "k" };`, logged("r", "getKey", "app-one"), policy.Summary{Permitted: 1}},
		{"a partition by id", all + `@id("k") forbid(principal, action, resource in Partition::"a/b/c");`, logged("r", "getKey", "app-one"), undecided("the partition")},
		{"an unknown type of environment", all + `@id("k") forbid(principal, action, resource) when { resource.environmentType != "sandbox" };`, logged("r", "getKey", "app-one"), undecided("resource.environmentType")},
		{"a TTL", all + `@id("k") forbid(principal, action, resource) when { context has ttlSeconds };`, logged("r", "putStore", "app-one"), undecided("context.ttlSeconds")},
		{"a header", all + `@id("k") forbid(principal, action, resource) unless { context.headers has "x-app" };`, logged("r", "getKey", "app-one"), undecided("context.headers")},
		{"confirmable", `@id("k") permit(principal, action, resource) when { context.confirmable };`, logged("r", "getKey", "app-one"), undecided("context.confirmable")},
		{"a forbid that fails", all + failing, logged("r", "putKey", "app-one", "request_bytes", 1), policy.Summary{Denied: 1, Rules: []policy.RuleSummary{{Rule: "failing", Denied: 1, Refused: 1, First: "r", Last: "r"}}}},
		{"no principal", all, logged("r", "getKey", ""), policy.Summary{Skipped: 1}},
		{"an accounts call", all, logged("r", "me", "app-one"), policy.Summary{Skipped: 1}},
		{"no line of ours", all, []byte("panic: no"), policy.Summary{Skipped: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			replay := policy.NewReplay(load(t, tt.rules, "x-app").Rules(), map[string]string{"env-known": "production"})
			replay.Line(tt.line)
			tt.want.Lines = 1
			if diff := cmp.Diff(tt.want, replay.Summary()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func undecided(missing string) policy.Summary {
	return policy.Summary{Undecided: 1, Rules: []policy.RuleSummary{{Rule: "k", Undecided: 1, Missing: []string{missing}, First: "r", Last: "r"}}}
}

func TestReplayAddsUpByRule(t *testing.T) {
	replay := policy.NewReplay(load(t, permitAll+noDeletes).Rules(), nil)
	for _, line := range [][]byte{logged("1", "deleteKey", "a"), logged("2", "getKey", "a"), logged("3", "deleteStore", "b", "status", 403)} {
		replay.Line(line)
	}
	want := policy.Summary{Lines: 3, Permitted: 1, Denied: 2, Rules: []policy.RuleSummary{{Rule: "no-deletes", Denied: 2, Refused: 1, First: "1", Last: "3"}}}
	if diff := cmp.Diff(want, replay.Summary()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	without := policy.NewReplay(nil, nil)
	without.Line(logged("1", "deleteKey", "a"))
	if s := without.Summary(); s.Permitted != 1 || s.Rules != nil {
		t.Errorf("without a policy: %+v", s)
	}
}
