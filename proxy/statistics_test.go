package proxy

import (
	"slices"
	"testing"
)

func TestStatisticsGoOutInTheirMediaType(t *testing.T) {
	g := newRig(t)
	w := g.do(request(t, "GET /api/v1/organizations/o?period=1day", "Authorization: Bearer one"))
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/json; of=statistics" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestASumLeavesOutOrganizationsThatRulesDeny(t *testing.T) {
	for rules, want := range map[string][]string{
		"":        {"o", "sub-one", "sub-two"},
		permitAll: {"o", "sub-one", "sub-two"},
		permitAll + `forbid(principal, action == Action::"readStats", resource) when { resource.organization == "sub-one" };`: {"o", "sub-two"},
	} {
		change := func(*Options) {}
		if rules != "" {
			change, _ = ruled(t, rules)
		}
		g := newRig(t, change)
		w := g.get("root", "/api/v1/organizations/o?period=1day&isMaster=true")
		if w.Code != 200 || !slices.Equal(g.readable, want) {
			t.Errorf("rules %q: %d, of %v; want %v", rules, w.Code, g.readable, want)
		}
	}
}
