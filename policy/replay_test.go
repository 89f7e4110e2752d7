package policy_test

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"

	"osgate/policy"
)

// logged returns a line of the access log; empty fields are left out.
func logged(id, operation, principal string, more ...any) []byte {
	var out bytes.Buffer
	attrs := append([]any{
		"request_id", id, "operation", operation, "principal", principal, "plane", "us", "region", "us-east-1", "organization", "org-root",
		"environment", "env-prod", "store", "APP_billing__default", "remote_addr", "10.0.0.1", "status", 200,
	}, more...)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("exchange", attrs...)
	return out.Bytes()
}

func TestReplayReportsTheDecisionsOfRules(t *testing.T) {
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
		{"the gateway's own", all + noDeletes, logged("r", "deleteKey", "app-one", "caused_by", "q"), policy.Summary{Skipped: 1}},
		{"a user", `@id("a") permit(principal == User::"u-1", action, resource);`, logged("r", "getKey", "user:u-1"), policy.Summary{Permitted: 1}},
		{"a user that a client acts for", when(`context has user && context.user == "u-1"`), logged("r", "getKey", "app-one", "user", "u-1"), policy.Summary{Permitted: 1}},
		{"bytes", when(`context.valueBytes == 7`), logged("r", "putKey", "app-one", "request_bytes", 7), policy.Summary{Permitted: 1}},
		{"an address", when(`context.sourceIP == ip("192.0.2.1")`), logged("r", "getKey", "app-one", "client_addr", "192.0.2.1"), policy.Summary{Permitted: 1}},
		{"a store", in(`Store::"env-prod/APP_billing__default"`), logged("r", "listKeys", "app-one"), policy.Summary{Permitted: 1}},
		{"a type of resource", when(`resource is Partition`), logged("r", "listKeys", "app-one"), policy.Summary{Permitted: 1}},
		{"a key as a type of resource", when(`resource is Key`), logged("r", "getKey", "app-one"), policy.Summary{Permitted: 1}},
		{"an address without a proxy", when(`context.sourceIP == ip("10.0.0.1")`), logged("r", "getKey", "app-one"), policy.Summary{Permitted: 1}},
		{"a region of one operation with a route", all + `@id("k") forbid(principal, action, resource) when { resource.region == "" };`, logged("r", "getKey", "app-one", "region", "", "route", "/api/v1/organizations/{organizationId}"), undecided("resource.region")},
		{
			"two forbids, of which the first counts", all + `@id("b") forbid(principal, action, resource); @id("a") forbid(principal == Client::"app-one", action, resource);`, logged("r", "getKey", "app-one"),
			policy.Summary{Denied: 1, Rules: []policy.RuleSummary{{Rule: "b", Denied: 1, Refused: 1, First: "r", Last: "r"}}},
		},
		{
			"two forbids in the other order", all + `@id("a") forbid(principal == Client::"app-one", action, resource); @id("b") forbid(principal, action, resource);`, logged("r", "getKey", "app-one"),
			policy.Summary{Denied: 1, Rules: []policy.RuleSummary{{Rule: "a", Denied: 1, Refused: 1, First: "r", Last: "r"}}},
		},
		{"a share of the log that cannot be", all, logged("r", "getKey", "app-one", "sample", 1e9), policy.Summary{Permitted: 1}},
		{
			"a store's parent by id", all + `@id("k") forbid(principal, action, resource is Store in Environment::"env-prod");`, logged("r", "getStore", "app-one"),
			policy.Summary{Denied: 1, Rules: []policy.RuleSummary{{Rule: "k", Denied: 1, Refused: 1, First: "r", Last: "r"}}},
		},
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
		{"a region that nobody found", all + `@id("k") forbid(principal, action, resource) unless { resource.region like "eu-*" || resource.region == "" };`, logged("r", "getStore", "app-one", "region", ""), undecided("resource.region")},
		{"a region that does not matter", all + `@id("k") forbid(principal, action, resource) when { resource.store == "x" && resource.region == "" };`, logged("r", "getStore", "app-one", "region", ""), policy.Summary{Permitted: 1}},
		{"statistics of all regions", when(`resource.region == ""`), logged("r", "readStats", "app-one", "region", "", "route", "/api/v1/organizations/{organizationId}"), policy.Summary{Permitted: 1}},
		{"statistics of a region that is not told", all + `@id("k") forbid(principal, action, resource) when { resource.region == "" };`, logged("r", "readStats", "app-one", "region", "", "route", "/api/v1/organizations/{organizationId}/environments/{environmentId}/regions/{regionId}"), undecided("resource.region")},
		{"no plane", all + `@id("k") forbid(principal, action, resource) when { resource.plane == "" };`, logged("r", "getKey", "app-one", "plane", ""), undecided("resource.plane")},
		{"the size of a body that was refused", all + large, logged("r", "putKey", "app-one", "request_bytes", 4096, "status", 403, "code", "denied"), undecided("context.valueBytes")},
		{"the size of a body that was over quota", all + large, logged("r", "postKey", "app-one", "status", 429, "code", "over-quota"), undecided("context.valueBytes")},
		{"the size of a body whose client left", all + large, logged("r", "putKey", "app-one", "request_bytes", 4096, "status", 499), undecided("context.valueBytes")},
		{"the size of what has no body", all + large, logged("r", "getKey", "app-one", "status", 403, "code", "denied"), policy.Summary{Permitted: 1}},
		{"the size of what upstream refused", all + large, logged("r", "putKey", "app-one", "request_bytes", 4096, "status", 404), policy.Summary{Permitted: 1}},
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

const large = `@id("k") forbid(principal, action, resource) when { context.valueBytes > 50000 };`

// TestALineOfAThinnedOutLogCountsForAllThatItStandsFor in every count but that of
// lines.
func TestALineOfAThinnedOutLogCountsForAllThatItStandsFor(t *testing.T) {
	replay := policy.NewReplay(load(t, permitAll+noDeletes+large+`@id("s") @mode("shadow") forbid(principal, action == Action::"getKey", resource);`).Rules(), nil)
	for range 3 {
		replay.Line(logged("1", "deleteKey", "a", "sample", 3.3333333333333335))
		replay.Line(logged("2", "getKey", "a", "sample", 10.0))
	}
	replay.Line(logged("3", "deleteKey", "a", "status", 404))
	replay.Line(logged("4", "putKey", "a", "status", 403, "code", "denied", "sample", 100.0))
	replay.Line(logged("5", "putKey", "a", "sample", -1))
	replay.Line(logged("6", "putKey", "", "sample", 10))
	want := policy.Summary{Lines: 10, Skipped: 1, Sampled: true, Permitted: 31, Denied: 11, Undecided: 100, Rules: []policy.RuleSummary{
		{Rule: "no-deletes", Denied: 11, Refused: 10, First: "1", Last: "3"},
		{Rule: "k", Undecided: 100, Missing: []string{"context.valueBytes"}, First: "4", Last: "4"},
		{Rule: "s", Shadow: 30, First: "2", Last: "2"},
	}}
	if diff := cmp.Diff(want, replay.Summary()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestMissingDataIsReportedOnceAndInOrder over all lines.
func TestMissingDataIsReportedOnceAndInOrder(t *testing.T) {
	rule := `@id("k") forbid(principal, action, resource) when { resource.plane == "x" || resource.region == "x" || resource.key == "x" || context.confirmable || context has ttlSeconds };`
	replay := policy.NewReplay(load(t, permitAll+rule).Rules(), nil)
	for range 20 {
		replay.Line(logged("1", "putKey", "a", "plane", ""))
		replay.Line(logged("1", "putKey", "a", "region", ""))
	}
	want := policy.Summary{Lines: 40, Undecided: 40, Rules: []policy.RuleSummary{{
		Rule: "k", Undecided: 40, First: "1", Last: "1",
		Missing: []string{"context.confirmable", "context.ttlSeconds", "resource.key", "resource.plane", "resource.region"},
	}}}
	if diff := cmp.Diff(want, replay.Summary()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
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
