package policy_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cedar-policy/cedar-go"
	"pgregory.net/rapid"

	"osgate/auth"
	"osgate/objectstore"
	"osgate/policy"
)

// The parts that rules are drawn from; some conditions fail.
var (
	someScopes = []string{
		"principal", `principal == Client::"app-one"`, `principal == User::"u-1"`, `principal in Organization::"org-root"`, "principal is Client",
		`principal is User in Organization::"org-root"`, `principal in Client::"app-two"`, `principal in User::""`,
	}
	someActions = []string{
		"action", `action == Action::"getKey"`, `action in Action::"write"`, `action in [Action::"delete", Action::"getKey"]`, `action in Action::"read"`,
	}
	someResources = []string{
		"resource", `resource in Store::"env-prod/s-1"`, `resource in Store::"s-1"`, `resource in Organization::"org-root"`, "resource is Key",
		`resource in Environment::"env-prod"`,
	}
	someConditions = []string{
		"", `when { resource.store like "s-*" }`, `unless { resource.key == "k" }`, `when { context.valueBytes > 10 }`, `when { ` + overflow + ` }`,
		`when { context has user && context.user == "u-1" }`, `when { context.sourceIP.isLoopback() }`, `unless { context.confirmable }`,
		`when { (if context.confirmable then resource else resource).store == "s-1" }`, `unless { (if 2 > 1 then context else context).valueBytes > 5 }`,
		`when { resource in Partition::"env-prod/s-1/p" }`, `when { principal in Organization::"org-sub" }`, `when { resource.environmentType == "unknown" }`,
	}
)

func drawRule(t *rapid.T, effect string) string {
	one := func(label string, of []string) string { return rapid.SampledFrom(of).Draw(t, label) }
	return fmt.Sprintf("%s (%s, %s, %s) %s;", effect, one("principal", someScopes), one("action", someActions), one("resource", someResources), one("condition", someConditions))
}

func drawRequest(t *rapid.T) policy.Request {
	one := func(label string, of ...string) string { return rapid.SampledFrom(of).Draw(t, label) }
	ref := objectstore.Ref{Organization: one("organization", "org-root", "org-sub")}
	kind := rapid.SampledFrom(objectstore.Kinds()).Draw(t, "kind")
	if kind != objectstore.ListRegions {
		ref.Environment = one("environment", "env-prod", "env-test")
	}
	if kind >= objectstore.GetStore && kind != objectstore.ReadStats {
		ref.Store = one("store", "s-1", "other")
	}
	if kind >= objectstore.HeadPartition && kind != objectstore.DeletePartitions && kind != objectstore.ReadStats {
		ref.Partition = one("partition", "p", "q")
	}
	if kind >= objectstore.HeadKey && kind != objectstore.ReadStats {
		ref.Key = one("key", "k", "l")
	}
	return policy.Request{
		Principal: rapid.SampledFrom([]*auth.Principal{
			{Client: "app-one", Organizations: []string{"org-root"}}, {Client: "app-two", User: "u-1", Organizations: []string{"org-sub"}},
			{User: "u-1", Organizations: []string{"org-root", "org-sub"}}, {User: "u-2"},
		}).Draw(t, "who"),
		Operation: objectstore.Operation{Kind: kind, Ref: ref, Confirmable: rapid.Bool().Draw(t, "confirmable")},
		Plane:     "us", Region: "us-east-1", ValueBytes: rapid.Int64Range(0, 20).Draw(t, "bytes"), TTLSeconds: -1,
		SourceIP: netip.MustParseAddr("127.0.0.1"), Time: time.Unix(1e9, 0),
	}
}

// loadRules loads rules. One of them fits none of the requests, so that a policy
// without fitting rules is not an error.
func loadRules(t *rapid.T, folder string, rules []string) *policy.Policy {
	text := `permit (principal == Client::"nobody", action, resource);` + "\n" + strings.Join(rules, "\n")
	if err := os.WriteFile(filepath.Join(folder, "p.cedar"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := policy.Load(policy.Options{Path: folder})
	if err != nil {
		t.Skip(err) // a scope that no action fits
	}
	return p
}

func TestMoreForbidsNeverPermitMoreAndMorePermitsNeverDenyMore(t *testing.T) {
	folder := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		effects := rapid.SampledFrom([]string{"permit", "forbid", `@mode("shadow") forbid`, `@mode("shadow") permit`})
		rules := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string { return drawRule(t, effects.Draw(t, "effect")) }), 0, 5).Draw(t, "rules")
		added := effects.Draw(t, "added effect")
		more := slices.Insert(slices.Clone(rules), rapid.IntRange(0, len(rules)).Draw(t, "at"), drawRule(t, added))
		fewer, greater := loadRules(t, folder, rules), loadRules(t, folder, more)
		for range 10 {
			r := drawRequest(t)
			before, after := fewer.Decide(r), greater.Decide(r)
			switch {
			case strings.Contains(added, "shadow") && before.Allowed != after.Allowed:
				t.Fatalf("%+v: a rule in shadow mode made of %+v %+v", r, before, after)
			case added == "forbid" && !before.Allowed && after.Allowed:
				t.Fatalf("%+v: a forbid permits: %+v, then %+v", r, before, after)
			case added == "permit" && before.Allowed && !after.Allowed:
				t.Fatalf("%+v: a permit denies: %+v, then %+v", r, before, after)
			}
		}
	})
}

// Decisions are those of Cedar itself for all rules and hand-made entities: the index
// finds the rules that fit, and no fact is left out.
func TestDecisionsAreCedars(t *testing.T) {
	folder := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		rules := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
			return drawRule(t, rapid.SampledFrom([]string{"permit", "permit", "forbid"}).Draw(t, "effect"))
		}), 1, 6).Draw(t, "rules")
		p := loadRules(t, folder, rules)
		all, err := cedar.NewPolicySetFromBytes("p.cedar", []byte(strings.Join(rules, "\n")))
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			r := drawRequest(t)
			entities, request := byHand(r)
			want, diagnostic := cedar.Authorize(all, entities, request)
			for _, e := range diagnostic.Errors {
				want = want && cedar.Decision(all.Get(e.PolicyID).Effect() == cedar.Permit) // a forbid that fails denies
			}
			if got := p.Decide(r); got.Allowed != bool(want) {
				t.Fatalf("%s\n%+v\nthe result is %+v, Cedar's is %v %v", strings.Join(rules, "\n"), r, got, want, diagnostic)
			}
		}
	})
}

// byHand builds the entities and the request for r from the documentation of the
// vocabulary, without regard to the rules.
func byHand(r policy.Request) (cedar.EntityMap, cedar.Request) {
	ref := r.Operation.Ref
	uid := func(typ cedar.EntityType, names ...string) cedar.EntityUID {
		return cedar.NewEntityUID(typ, cedar.String(strings.Join(names, "/")))
	}
	chain := []cedar.EntityUID{uid("Organization", ref.Organization)}
	for _, level := range []struct {
		typ   cedar.EntityType
		names []string
	}{
		{"Environment", []string{ref.Environment}}, {"Store", []string{ref.Environment, ref.Store}},
		{"Partition", []string{ref.Environment, ref.Store, ref.Partition}}, {"Key", []string{ref.Environment, ref.Store, ref.Partition, ref.Key}},
	} {
		if level.names[len(level.names)-1] != "" {
			chain = append(chain, uid(level.typ, level.names...))
		}
	}
	place := cedar.NewRecord(cedar.RecordMap{
		"organization": cedar.String(ref.Organization), "environment": cedar.String(ref.Environment), "store": cedar.String(ref.Store),
		"partition": cedar.String(ref.Partition), "key": cedar.String(ref.Key), "plane": cedar.String(r.Plane), "region": cedar.String(r.Region),
		"environmentType": cedar.String(map[bool]string{true: "unknown"}[ref.Environment != ""]),
	})
	entities := make(cedar.EntityMap)
	for i, at := range chain {
		var in []cedar.EntityUID
		if i > 0 {
			in = append(in, chain[i-1])
		}
		if at.Type == "Store" {
			in = append(in, uid("Store", ref.Store))
		}
		entities[at] = cedar.Entity{UID: at, Parents: cedar.NewEntityUIDSet(in...), Attributes: place}
	}
	action := uid("Action", r.Operation.Kind.String())
	var groups []cedar.EntityUID
	for g := range strings.FieldsSeq(groupsOf[r.Operation.Kind.String()]) {
		groups = append(groups, uid("Action", g))
		if g == "read" && r.Operation.Confirmable {
			groups = append(groups, uid("Action", "write"))
		}
	}
	entities[action] = cedar.Entity{UID: action, Parents: cedar.NewEntityUIDSet(groups...)}
	principal := uid("Client", r.Principal.Client)
	if r.Principal.Client == "" {
		principal = uid("User", r.Principal.User)
	}
	var member []cedar.EntityUID
	for _, o := range r.Principal.Organizations {
		member = append(member, uid("Organization", o))
	}
	entities[principal] = cedar.Entity{UID: principal, Parents: cedar.NewEntityUIDSet(member...)}
	facts := cedar.RecordMap{
		"valueBytes": cedar.Long(r.ValueBytes), "confirmable": cedar.Boolean(r.Operation.Confirmable), "sourceIP": cedar.IPAddr(netip.PrefixFrom(r.SourceIP, 32)),
	}
	if r.Principal.User != "" {
		facts["user"] = cedar.String(r.Principal.User)
	}
	return entities, cedar.Request{Principal: principal, Action: action, Resource: chain[len(chain)-1], Context: cedar.NewRecord(facts)}
}
