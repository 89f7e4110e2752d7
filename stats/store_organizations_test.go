package stats_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"osgate/internal/redisconn/redistest"
	"osgate/stats"
)

// The tests of this file are part of the contract of [stats.Store].

func organizations(t testing.TB, s stats.Store, since time.Time, limit int) []stats.Scope {
	t.Helper()
	got, err := s.Organizations(t.Context(), since, limit)
	if err != nil {
		t.Fatalf("Organizations: %v", err)
	}
	return got
}

func TestStoreKeepsEveryMeasure(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			s := kind.open(t)
			counts := stats.Counts{stats.Client: 1, stats.Upstream: 20, stats.ClientUnits: 300, stats.UpstreamUnits: 4000}
			apply(t, s, batch("p", 1, stats.Entry{Scope: inStore("a"), Hour: noon, Counts: counts}))
			apply(t, s, batch("p", 2, stats.Entry{Scope: inStore("a"), Hour: noon, Counts: counts}))
			all := []stats.Measure{stats.Client, stats.Upstream, stats.ClientUnits, stats.UpstreamUnits}
			for _, p := range []stats.Period{stats.Hour, stats.Day, stats.Month} {
				for _, wanted := range [][]stats.Measure{all, {stats.UpstreamUnits, stats.Upstream}, {}} {
					var want stats.Counts
					for _, m := range wanted {
						want[m] = 2 * counts[m]
					}
					got, err := s.Counts(t.Context(), stats.CountsQuery{Scopes: []stats.Scope{org}, Period: p, Starts: []time.Time{p.Start(noon)}, Measures: wanted})
					if diff := cmp.Diff([][]stats.Counts{{want}}, got); err != nil || diff != "" {
						t.Errorf("%v by %v: %v (-want +got):\n%s", wanted, p, err, diff)
					}
				}
			}
		})
	}
}

func TestStoreKnowsItsOrganizations(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			s := kind.open(t)
			if got := organizations(t, s, noon, 10); len(got) != 0 {
				t.Errorf("an empty store knows %v", got)
			}
			want := make(map[stats.Scope]bool)
			sequence := uint64(0)
			for _, name := range awkward {
				for _, scope := range []stats.Scope{{Plane: "us", Organization: name}, {Plane: name, Organization: "x"}} {
					sequence++
					apply(t, s, batch("p", sequence, entry(scope, noon, 1, 1)))
					want[scope] = true
				}
			}
			got := organizations(t, s, noon, len(want)+1)
			for _, scope := range got {
				if !want[scope] {
					t.Errorf("%.60q is none, or told twice", fmt.Sprint(scope))
				}
				delete(want, scope)
			}
			if len(want) > 0 {
				t.Errorf("%d organizations are missing", len(want))
			}
		})
	}
}

func TestStoreListsTheLatestOrganizationsFirst(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			s := kind.open(t)
			at := func(name string, hours int) *stats.Batch {
				return batch("p", uint64(100+hours), entry(stats.Scope{Plane: "us", Organization: name}, noon.Add(time.Duration(hours)*time.Hour), 1, 0))
			}
			apply(t, s, at("first", 0), at("second", 1), at("third", 2), at("both", 3))
			late := at("both", 1) // a late count makes no scope older
			late.Process = "q"
			apply(t, s, late)
			for _, tt := range []struct {
				since time.Time
				limit int
				want  []string
			}{
				{noon.Add(-time.Hour), 10, []string{"both", "third", "second", "first"}},
				{noon.Add(-time.Hour), 2, []string{"both", "third"}},
				{noon.Add(119 * time.Minute), 10, []string{"both", "third", "second"}},
				{noon.Add(4 * time.Hour), 10, nil},
			} {
				var got []string
				for _, scope := range organizations(t, s, tt.since, tt.limit) {
					got = append(got, scope.Organization)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("since %v, at most %d (-want +got):\n%s", tt.since, tt.limit, diff)
				}
			}
		})
	}
}

// TestStoreForgetsOrganizationsPastRetention counts two years later: the list does not
// grow without end.
func TestStoreForgetsOrganizationsPastRetention(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			s := kind.open(t)
			from := noon.AddDate(0, -25, 0)
			apply(t, s, batch("p", 1, entry(stats.Scope{Plane: "us", Organization: "old"}, from, 1, 0)))
			pass(t, s, org, from, noon)
			if got := organizations(t, s, from, 10); !slices.Equal(got, []stats.Scope{org}) {
				t.Errorf("got %v, want only what was counted in last", got)
			}
		})
	}
}

// TestOrganizationsAreNotedWhenRedisIsBack counts while the list of organizations
// cannot be written. Batches do not fail because of that, and the list is written with
// the next batches, of any organization.
func TestOrganizationsAreNotedWhenRedisIsBack(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s, c := openRedis(t, server, time.Minute), client(t, server)
	const key = "osgate:stats:{organizations}"
	if err := c.Set(t.Context(), key, "not a list", 0).Err(); err != nil {
		t.Fatal(err)
	}
	one, two := stats.Scope{Plane: "us", Organization: "one"}, stats.Scope{Plane: "us", Organization: "two"}
	apply(t, s, batch("p", 1, entry(one, noon, 1, 0)))
	if got := count(t, s, one, stats.Hour, noon); got != 1 {
		t.Errorf("got %d, want 1", got)
	}
	if err := c.Del(t.Context(), key).Err(); err != nil {
		t.Fatal(err)
	}
	apply(t, s, batch("p", 1, entry(two, noon.Add(time.Hour), 1, 0)))
	if got := organizations(t, s, noon, 10); !slices.Equal(got, []stats.Scope{two, one}) {
		t.Errorf("got %v, want both", got)
	}
	if err := c.Del(t.Context(), key).Err(); err != nil {
		t.Fatal(err)
	}
	apply(t, s, batch("p", 2, entry(two, noon, 1, 0)))
	if got := organizations(t, s, noon, 10); !slices.Equal(got, []stats.Scope{two}) {
		t.Errorf("got %v: what was noted is noted once", got)
	}
	if life := c.TTL(t.Context(), key).Val(); life < 731*24*time.Hour {
		t.Errorf("the list lives for %v", life)
	}
}
