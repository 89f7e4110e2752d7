package policy_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"osgate/policy"
)

// ofEveryKind returns twenty typical rules, all of which have to be evaluated when a
// key is written.
func ofEveryKind() string {
	var b strings.Builder
	b.WriteString(permitAll)
	for i := range 4 {
		fmt.Fprintf(&b, `forbid(principal, action in Action::"write", resource) when { resource.store like "PRIVATE_%d*" };
forbid(principal, action, resource) when { resource.plane == "eu" && !(resource.region like "eu-%d*") };
forbid(principal, action in [Action::"putKey", Action::"postKey"], resource) when { context.valueBytes > %d };
forbid(principal in Organization::"org-root", action in Action::"write", resource in Store::"APP_secret_%d");
`, i, i, 1<<20+i, i)
	}
	for i := range 3 {
		fmt.Fprintf(&b, "forbid(principal, action in Action::\"write\", resource) when { resource.environmentType == \"design\" && resource.partition == \"P%d\" };\n", i)
	}
	return b.String()
}

// namingOthers returns n rules for clients that send no request.
func namingOthers(n int) string {
	var b strings.Builder
	b.WriteString(permitAll)
	for i := range n - 1 {
		fmt.Fprintf(&b, `forbid(principal == Client::"other-%d", action in Action::"write", resource) when { resource.store like "APP_%d*" };`+"\n", i, i)
	}
	return b.String()
}

func BenchmarkDecide(b *testing.B) {
	recipes, err := os.ReadFile("../bench/policy.cedar")
	if err != nil {
		b.Fatal(err)
	}
	const get, put = "GET " + partition + "/keys/KeyOne", "PUT " + partition + "/keys/KeyOne"
	for _, bb := range []struct{ name, rules, line string }{
		{"1", permitAll, put}, {"20", ofEveryKind(), put}, {"1000 of others", namingOthers(1000), put},
		{"recipes, a read", string(recipes), strings.Replace(get, "billing", "other", 1)},
		{"recipes, a write", string(recipes), strings.Replace(put, "billing", "other", 1)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			p := load(b, bb.rules)
			r := requestOf(b, bb.line, func(r *policy.Request) { r.EnvironmentType, r.ValueBytes = "production", 100 })
			b.ReportAllocs()
			for b.Loop() {
				if d := p.Decide(r); !d.Allowed {
					b.Fatal(d)
				}
			}
		})
	}
	b.Run("none", func(b *testing.B) {
		r := requestOf(b, "PUT "+keyOne)
		b.ReportAllocs()
		for b.Loop() {
			new(policy.Policy).Decide(r)
		}
	})
}

func BenchmarkLoad(b *testing.B) {
	folder := write(b, "p.cedar", namingOthers(1000))
	for b.Loop() {
		if _, err := policy.Load(policy.Options{Path: folder}); err != nil {
			b.Fatal(err)
		}
	}
}
