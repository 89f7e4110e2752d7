package stats_test

import (
	"testing"

	"osgate/record"
	"osgate/stats"
)

// TestMasterSumsOnlyWhatTheCallerMayRead queries with a tree that was learned from
// other callers.
func TestMasterSumsOnlyWhatTheCallerMayRead(t *testing.T) {
	t.Parallel()
	c := memory(t)
	for organization, n := range map[string]int{"root": 1, "sub-1": 10, "sub-2": 100} {
		keep(c, n, with(get(noon), func(x *record.Exchange) { x.Organization = organization }))
	}
	c.LearnTree("us", "root", []string{"sub-1", "sub-2"})
	flush(t, c)
	for _, tt := range []struct {
		name      string
		belongsTo []string
		want      string
	}{
		{"a member of all", []string{"root", "sub-1", "sub-2"}, "111"},
		{"a contributor, or a token that was introspected", []string{"root"}, "1"},
		{"a contributor to the root, and member of one below", []string{"sub-2", "root"}, "101"},
	} {
		q := question(t, "us", base+"root?startDate=2024-08-15T00:00:00Z&endDate=2024-08-15T00:00:00Z&period=1day&isMaster=true")
		q.Organizations = tt.belongsTo
		said, err := c.Answer(t.Context(), q, noon)
		want := `[{"timeStamp":"2024-08-15T00:00:00Z","objectStoreRequestCount":` + tt.want + `}]`
		if err != nil || string(said.Body) != want {
			t.Errorf("%s: %s, %v; want %s", tt.name, said.Body, err, want)
		}
	}
}

// TestMasterOfASubOrganizationWithoutAKnownRoot checks that the sum is empty, in this
// process and in one that reads the tree from the store.
func TestMasterOfASubOrganizationWithoutAKnownRoot(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			store := kind.open(t)
			c := stats.New(stats.Options{Store: store})
			c.Keep(get(noon))
			c.LearnTree("us", "org", []string{"below"}) // from a caller that used it as a root
			c.LearnTree("us", "", []string{"org"})
			for range 2 {
				if got := answer(t, c, base+"org"+day+"&isMaster=true", noon); got != "[]" {
					t.Errorf("got %s, want []", got)
				}
				flush(t, c)
				c = stats.New(stats.Options{Store: store})
			}
			if got := total(t, c, base+"org"+day, noon); got != 1 {
				t.Errorf("without isMaster: %d, want 1", got)
			}
		})
	}
}
