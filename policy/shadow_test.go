package policy_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"osgate/policy"
)

// TestShadowModeIsSetWhileThePolicyServes, and a changed file does not end it.
func TestShadowModeIsSetWhileThePolicyServes(t *testing.T) {
	folder := write(t, "p.cedar", permitAll+noDeletes)
	p, err := policy.Load(policy.Options{Path: folder})
	if err != nil {
		t.Fatal(err)
	}
	deletion := requestOf(t, "DELETE "+keyOne)
	if d := p.Decide(deletion); d.Allowed {
		t.Fatalf("%+v, want a denial", d)
	}
	if err := p.SetShadow(true); err != nil {
		t.Fatal(err)
	}
	if d := p.Decide(deletion); !d.Allowed || len(d.Shadow) != 1 {
		t.Errorf("in shadow mode: %+v, want a permit and a denial in shadow", d)
	}
	if s := p.State(); !s.Shadow || s.Shadowed != 2 || s.Rules != 2 {
		t.Errorf("state %+v", s)
	}
	replace(t, folder, "p.cedar", permitAll+noDeletes+"\n// changed\n")
	if err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	if d := p.Decide(deletion); !d.Allowed || !p.State().Shadow {
		t.Errorf("after a changed file: %+v", d)
	}
	if err := p.SetShadow(false); err != nil {
		t.Fatal(err)
	}
	if d, s := p.Decide(deletion), p.State(); d.Allowed || s.Shadow || s.Shadowed != 0 {
		t.Errorf("after its end: %+v, %+v", d, s)
	}
	if err := new(policy.Policy).SetShadow(true); !errors.Is(err, policy.ErrNoPolicy) {
		t.Errorf("without a policy: %v", err)
	}
}

func TestRulesAreListed(t *testing.T) {
	p, err := policy.Load(policy.Options{Path: write(t, "p.cedar", permitAll+noDeletes), Shadow: true})
	if err != nil {
		t.Fatal(err)
	}
	list := p.Rules().List()
	for i := range list {
		list[i].Line = 0
	}
	want := []policy.Rule{
		{ID: "all", Permit: true, Shadow: true, File: "p.cedar"}, {ID: "no-deletes", Shadow: true, File: "p.cedar"},
	}
	if diff := cmp.Diff(want, list); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if new(policy.Policy).Rules().List() != nil {
		t.Error("no policy has rules")
	}
}
