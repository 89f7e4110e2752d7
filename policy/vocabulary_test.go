package policy_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"osgate/auth"
	"osgate/objectstore"
	"osgate/policy"
)

// Each row is a condition, or a whole scope, that is true for the first request and
// false for the second.
func TestEveryWordOfTheVocabularyHasItsMeaning(t *testing.T) {
	get, list := "GET "+keyOne, "GET "+prod+"/stores"
	user := func(r *policy.Request) {
		r.Principal = &auth.Principal{User: "u-1", Organizations: []string{"org-root"}}
	}
	actsFor := func(r *policy.Request) { r.Principal = &auth.Principal{Client: "app-one", User: "u-1"} }
	for _, tt := range []struct {
		name, rule string
		line       string
		yes, no    func(*policy.Request)
	}{
		{"client", `permit(principal == Client::"app-one", action, resource);`, get, nil, user},
		{"another client", `permit(principal == Client::"app-one", action, resource);`, get, nil, func(r *policy.Request) { r.Principal = &auth.Principal{Client: "app-two"} }},
		{"user", `permit(principal == User::"u-1", action, resource);`, get, user, actsFor},
		{"type of the principal", `permit(principal is User, action, resource);`, get, user, nil},
		{"one of several clients", when(`[Client::"app-one", Client::"app-two"].contains(principal)`), get, nil, user},
		{"one of several stores", when(`[Store::"env-prod/APP_billing__default", Store::"e/s"].contains(resource)`), "GET " + billing, nil, other("/stores/APP_billing__default", "/stores")},
		{"in one of several stores", when(`resource in [Store::"APP_billing__default", Store::"e/s"]`), get, nil, other("APP_billing", "APP_orders")},
		{"organization of the principal", `permit(principal in Organization::"org-sub", action, resource);`, get, nil, user},
		{"type and organization", `permit(principal is Client in Organization::"org-root", action, resource);`, get, nil, user},
		{"user that a client acts for", when(`context has user && context.user == "u-1"`), get, actsFor, nil},
		{"organization", when(`resource.organization == "org-root"`), get, nil, other(root, "/api/v1/organizations/org-other")},
		{"environment", when(`resource.environment == "env-prod"`), get, nil, other("env-prod", "env-sandbox")},
		{"store", when(`resource.store like "APP_billing*"`), get, nil, other("APP_billing", "APP_orders")},
		{"store of a list of stores", when(`resource.store like "APP_billing*" || resource.store == ""`), list, nil, other("/stores", "/stores/x")},
		{"partition", when(`resource.partition == "DEFAULT_PARTITION"`), get, nil, other("DEFAULT_PARTITION", "P")},
		{"key", when(`resource.key == "KeyOne"`), get, nil, other("KeyOne", "KeyTwo")},
		{"plane", when(`resource.plane == "us"`), get, nil, func(r *policy.Request) { r.Plane = "eu" }},
		{"region", when(`resource.region like "us-*"`), get, nil, func(r *policy.Request) { r.Region = "eu-central-1" }},
		{"environment type", when(`resource.environmentType == "production"`), get, func(r *policy.Request) { r.EnvironmentType = "production" }, nil},
		{"unknown environment type", when(`resource.environmentType == "unknown"`), get, nil, func(r *policy.Request) { r.EnvironmentType = "sandbox" }},
		{"no environment, no type", when(`resource.environmentType == ""`), "GET " + root + "/regions", nil, other("/regions", "/environments/e/stores")},
		{"is", when(`resource is Key`), get, nil, other("/keys/KeyOne", "/keys")},
		{"in a partition", in(`Partition::"env-prod/APP_billing__default/DEFAULT_PARTITION"`), get, nil, other("DEFAULT_", "D_")},
		{"in a store", in(`Store::"env-prod/APP_billing__default"`), get, nil, other("env-prod", "env-sandbox")},
		{"in a store of any environment", in(`Store::"APP_billing__default"`), get, other("env-prod", "env-sandbox"), other("APP_billing", "APP_orders")},
		{"in an environment", in(`Environment::"env-prod"`), get, nil, other("env-prod", "env-sandbox")},
		{"in an organization", in(`Organization::"org-root"`), get, nil, other("org-root", "org-sub")},
		{"is a key", `permit(principal, action, resource == Key::"env-prod/APP_billing__default/DEFAULT_PARTITION/KeyOne");`, get, nil, other("KeyOne", "KeyTwo")},
		{"names with slashes", in(`Store::"env-prod/a%2Fb%25"`), "GET " + prod + "/stores/a%2Fb%25", nil, other("a%2Fb%25", "a")},
		{"value bytes", when(`context.valueBytes > 9`), "PUT " + keyOne, func(r *policy.Request) { r.ValueBytes = 10 }, func(r *policy.Request) { r.ValueBytes = 9 }},
		{"value bytes not yet known", when(`context.valueBytes == 0`), "PUT " + keyOne, func(r *policy.Request) { r.ValueBytes = -1 }, func(r *policy.Request) { r.ValueBytes = 1 }},
		{"value type", when(`context.valueType == "BINARY"`), "PUT " + keyOne, func(r *policy.Request) { r.ValueType = "BINARY" }, nil},
		{"ttl", when(`context has ttlSeconds && context.ttlSeconds > 60`), "PUT " + billing, func(r *policy.Request) { r.TTLSeconds = 61 }, nil},
		{"no ttl", when(`!(context has ttlSeconds)`), "PUT " + billing, nil, func(r *policy.Request) { r.TTLSeconds = 0 }},
		{"confirmable", when(`context.confirmable`), get + "?confirmable=true", nil, other("?confirmable=true", "")},
		{"source address", when(`context.sourceIP.isInRange(ip("10.0.0.0/8"))`), get, mapped, func(r *policy.Request) { r.SourceIP = netip.MustParseAddr("192.0.2.1") }},
		{"time", when(`context.time.toTime() >= duration("9h") && context.time.toTime() < duration("17h")`), get, nil, func(r *policy.Request) { r.Time = r.Time.Add(8 * time.Hour) }},
		{"headers", when(`context.headers has "x-app" && context.headers["x-app"] == "a"`), get, header("a"), header("b")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := load(t, tt.rule, "X-App", "x-other")
			for want, edit := range map[bool]func(*policy.Request){true: tt.yes, false: tt.no} {
				if edit == nil {
					edit = func(*policy.Request) {}
				}
				r := requestOf(t, tt.line, edit)
				if d := p.Decide(r); d.Allowed != want || len(d.Errors) > 0 {
					t.Errorf("%s of %+v: %+v, want %v", tt.rule, r, d, want)
				}
			}
		})
	}
}

func when(condition string) string {
	return "permit(principal, action, resource) when { " + condition + " };"
}

func in(resource string) string { return "permit(principal, action, resource in " + resource + ");" }

// other replaces part of the path, and parses it again.
func other(old, with string) func(*policy.Request) {
	return func(r *policy.Request) {
		line := strings.Replace(r.Operation.Method()+" "+r.Operation.Path()+"?"+r.Operation.RawQuery(), old, with, 1)
		method, target, _ := strings.Cut(line, " ")
		path, query, _ := strings.Cut(target, "?")
		op, err := objectstore.Parse(method, path, query)
		if err != nil {
			panic(fmt.Sprintf("%s: %v", line, err))
		}
		r.Operation = op
	}
}

func mapped(r *policy.Request) { r.SourceIP = netip.MustParseAddr("::ffff:10.1.2.3") }

func header(value string) func(*policy.Request) {
	return func(r *policy.Request) { r.Headers = map[string]string{"x-app": value, "x-secret": "s"} }
}

// groupsOf contains the documented groups of each operation.
var groupsOf = map[string]string{
	"listRegions": "read", "listStores": "read", "getStore": "read", "putStore": "write admin", "patchStore": "write admin", "deleteStore": "delete admin",
	"listPartitions": "read", "deletePartitions": "delete admin", "headPartition": "read", "listValues": "read", "deletePartition": "delete",
	"listKeys": "read", "deleteKeys": "delete", "headKey": "read", "getKey": "read", "putKey": "write", "postKey": "write", "deleteKey": "delete",
	"ack": "write", "extend": "write", "nack": "write", "readStats": "read",
}

func TestActionsAreInTheirGroups(t *testing.T) {
	if len(groupsOf) != len(objectstore.Kinds()) {
		t.Fatalf("the table has %d operations, there are %d", len(groupsOf), len(objectstore.Kinds()))
	}
	for _, group := range []string{"read", "write", "delete", "admin"} {
		p := load(t, `permit(principal, action in Action::"`+group+`", resource);`)
		for _, kind := range objectstore.Kinds() {
			for _, confirmable := range []bool{false, true} {
				groups := strings.Fields(groupsOf[kind.String()])
				want := strings.Contains(" "+strings.Join(groups, " ")+" ", " "+group+" ")
				if group == "write" && groups[0] == "read" && confirmable {
					want = true // a confirmable read has side effects
				}
				op := objectstore.Operation{Kind: kind, Ref: objectstore.Ref{Organization: "o"}, Confirmable: confirmable}
				if got := p.Decide(policy.Request{Principal: &auth.Principal{Client: "c"}, Operation: op}).Allowed; got != want {
					t.Errorf("%v, confirmable %v, in %s: %v, want %v", kind, confirmable, group, got, want)
				}
			}
		}
	}
}

func TestAnActionIsNamedByItsOperation(t *testing.T) {
	for _, kind := range objectstore.Kinds() {
		p := load(t, `permit(principal, action == Action::"`+kind.String()+`", resource);`)
		for _, asked := range objectstore.Kinds() {
			op := objectstore.Operation{Kind: asked, Ref: objectstore.Ref{Organization: "o"}}
			if got := p.Decide(policy.Request{Principal: &auth.Principal{Client: "c"}, Operation: op}).Allowed; got != (asked == kind) {
				t.Errorf("%v by a rule for %v: %v", asked, kind, got)
			}
		}
	}
}
