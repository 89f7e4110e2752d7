package gateway

import (
	"slices"
	"strings"
	"testing"
)

// TestBrokeringHasTheBudgetOfOneClient unless another one is set, and a note at the
// start names it: Object Store sees one client ID.
func TestBrokeringHasTheBudgetOfOneClient(t *testing.T) {
	brokered := []string{
		"OSGATE_AUTH=anypoint,jwt", "OSGATE_AUTH_ISSUERS=https://login.example.com", "OSGATE_AUTH_AUDIENCE=osgate",
		"OSGATE_POLICY=rules", "OSGATE_UPSTREAM_CLIENT_ID=own", "OSGATE_UPSTREAM_CLIENT_SECRET=secret",
	}
	for name, tt := range map[string]struct {
		variables []string
		limit     int
		note      bool
	}{
		"not brokered":      {nil, 0, false},
		"not brokered, set": {[]string{"OSGATE_BUDGET=7"}, 7, false},
		"by default":        {brokered, 10, true},
		"set":               {append(slices.Clone(brokered), "OSGATE_BUDGET=100"), 100, false},
		"set to none":       {append(slices.Clone(brokered), "OSGATE_BUDGET=0"), 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := configured(t, tt.variables...)
			if got := budget(c); got.Rate != tt.limit || got.Burst != tt.limit {
				t.Errorf("a budget of %d with a burst of %d, want %d", got.Rate, got.Burst, tt.limit)
			}
			note := slices.ContainsFunc((&brokering{}).notes(c), func(note string) bool {
				return strings.Contains(note, "OSGATE_BUDGET is not set, and 10 requests a second")
			})
			if note != tt.note {
				t.Errorf("a note about the budget: %v, want %v", note, tt.note)
			}
		})
	}
}
