package stats_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"osgate/objectstore"
	"osgate/record"
	"osgate/stats"
)

// TestSeedExamplesAreAnsweredInTheirForm holds every example query of the vendor's page "Object Store v2 Stats API" against the body that the
// page shows for it. Two things on the page cannot be: the end date 2024-11-131, which is refused, and months stamped with the day of the
// query, where its other examples of months have the first.
func TestSeedExamplesAreAnsweredInTheirForm(t *testing.T) {
	t.Parallel()
	at := func(x *record.Exchange, s string) *record.Exchange {
		start, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		x.Start = start
		return x
	}
	in := func(organization, s string) *record.Exchange {
		return at(with(get(noon), func(x *record.Exchange) { x.Organization = organization }), s)
	}
	examples := []struct {
		name, target, want string
	}{
		{"root and sub-organizations by month",
			"root?startDate=2024-08-11T17%3A51%3A54.000Z&endDate=2024-09-11T17%3A51%3A54.000Z&period=1month&isMaster=true",
			`[{"timeStamp":"2024-08-01T00:00:00Z","objectStoreRequestCount":38},{"timeStamp":"2024-09-01T00:00:00Z","objectStoreRequestCount":28}]`},
		{"root and sub-organizations by day",
			"root?startDate=2024-11-11T17%3A51%3A54.000Z&endDate=2024-11-13T17%3A51%3A54.000Z&period=1day&isMaster=true",
			`[{"timeStamp":"2024-11-11T00:00:00Z","objectStoreRequestCount":36},{"timeStamp":"2024-11-12T00:00:00Z","objectStoreRequestCount":22},{"timeStamp":"2024-11-13T00:00:00Z","objectStoreRequestCount":43}]`},
		{"sub-organization by month",
			"sub?startDate=2024-02-10T17%3A51%3A54.000Z&endDate=2024-03-10T17%3A51%3A54.000Z&period=1month",
			`[{"timeStamp":"2024-02-01T00:00:00Z","objectStoreRequestCount":1},{"timeStamp":"2024-03-01T00:00:00Z","objectStoreRequestCount":15}]`},
		{"sub-organization by day",
			"sub?startDate=2024-12-01T17%3A51%3A54.000Z&endDate=2024-12-03T17%3A51%3A54.000Z&period=1day",
			`[{"timeStamp":"2024-12-01T00:00:00Z","objectStoreRequestCount":4},{"timeStamp":"2024-12-02T00:00:00Z","objectStoreRequestCount":2},{"timeStamp":"2024-12-03T00:00:00Z","objectStoreRequestCount":8}]`},
		{"environment",
			"root/environments/env?startDate=2024-08-13T17%3A51%3A54.000Z&endDate=2024-09-13T17%3A51%3A54.000Z&period=1month",
			`[{"timeStamp":"2024-08-01T00:00:00Z","objectStoreRequestCount":1},{"timeStamp":"2024-09-01T00:00:00Z","objectStoreRequestCount":25}]`},
		{"region",
			"root/environments/env/regions/us-east-1?startDate=2024-08-13T17%3A51%3A54.000Z&endDate=2024-09-13T17%3A51%3A54.000Z&period=1month",
			`[{"timeStamp":"2024-08-01T00:00:00Z","objectStoreRequestCount":1},{"timeStamp":"2024-09-01T00:00:00Z","objectStoreRequestCount":25}]`},
		{"store",
			"root/environments/env/regions/us-east-1/stores/store?startDate=2024-08-13T17%3A51%3A54.000Z&endDate=2024-09-13T17%3A51%3A54.000Z&period=1month",
			`[{"timeStamp":"2024-08-01T00:00:00Z","objectStoreRequestCount":1},{"timeStamp":"2024-09-01T00:00:00Z","objectStoreRequestCount":25}]`},
	}
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			store := kind.open(t)
			c := stats.New(stats.Options{Store: store})
			c.LearnTree("us", "root", []string{"sub"})
			for _, n := range []struct {
				count        int
				organization string
				at           string
			}{
				{1, "root", "2024-08-11T18:00:00Z"}, {37, "sub", "2024-08-20T00:00:00Z"},
				{25, "root", "2024-09-11T18:00:00Z"}, {3, "sub", "2024-09-01T00:00:00Z"},
				{30, "root", "2024-11-11T17:51:54Z"}, {6, "sub", "2024-11-11T23:59:59Z"},
				{22, "sub", "2024-11-12T00:00:00Z"}, {43, "root", "2024-11-13T17:00:00Z"},
				{1, "sub", "2024-02-29T23:59:59Z"}, {15, "sub", "2024-03-01T00:00:00Z"},
				{4, "sub", "2024-12-01T10:00:00Z"}, {2, "sub", "2024-12-02T10:00:00Z"}, {8, "sub", "2024-12-03T18:00:00Z"},
			} {
				keep(c, n.count, in(n.organization, n.at))
			}
			flush(t, c)
			now := time.Date(2024, 12, 4, 0, 0, 0, 0, time.UTC)
			for _, e := range examples {
				if got := answer(t, c, base+e.target, now); got != e.want {
					t.Errorf("%s: %s\n got %s\nwant %s", e.name, e.target, got, e.want)
				}
			}
		})
	}
}

func TestParametersAreRequiredForEveryPath(t *testing.T) {
	t.Parallel()
	for _, path := range allPaths {
		_, err := memory(t).Answer(t.Context(), question(t, "us", base+path), noon)
		if _, ok := errors.AsType[*objectstore.QueryError](err); !ok {
			t.Errorf("Answer(%s) without a query: %v, want a QueryError", path, err)
		}
	}
}

// allPaths are the seven operations of the Stats API for what get counts in.
var allPaths = []string{
	"org",
	"org/environments",
	"org/environments/env",
	"org/environments/env/regions",
	"org/environments/env/regions/us-east-1",
	"org/environments/env/regions/us-east-1/stores",
	"org/environments/env/regions/us-east-1/stores/store",
}

func TestOlderThanRetentionIsZero(t *testing.T) {
	t.Parallel()
	tests := []struct {
		period    string
		last, now time.Time // at now the bucket of last still counts, a bucket later it does not
		later     time.Time
	}{
		{"1hour", noon, noon.AddDate(0, 3, 0).Add(59 * time.Minute), noon.AddDate(0, 3, 0).Add(time.Hour)},
		{"1day", noon, noon.AddDate(0, 12, 0).Add(11 * time.Hour), noon.AddDate(0, 12, 0).Add(12 * time.Hour)},
		{"1month", noon, noon.AddDate(0, 24, 16), noon.AddDate(0, 24, 17)},
	}
	c := memory(t)
	c.Keep(get(noon))
	flush(t, c)
	for _, tt := range tests {
		t.Run(tt.period, func(t *testing.T) {
			const names = "org/environments"
			query := "?startDate=2024-08-15T12:00:00Z&endDate=2024-08-15T12:00:00Z&period=" + tt.period
			if got := total(t, c, base+"org"+query, tt.now); got != 1 {
				t.Errorf("at %v: %d, want 1", tt.now, got)
			}
			if got := answer(t, c, base+names+query, tt.now); got != `["env"]` {
				t.Errorf("names at %v: %s, want env", tt.now, got)
			}
			if got := total(t, c, base+"org"+query, tt.later); got != 0 {
				t.Errorf("at %v: %d, want 0", tt.later, got)
			}
			if got := answer(t, c, base+names+query, tt.later); got != `[]` {
				t.Errorf("names at %v: %s, want none", tt.later, got)
			}
		})
	}
}

func TestNamesWithCountsInTheTimeFrame(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			store := kind.open(t)
			c := stats.New(stats.Options{Store: store})
			for _, s := range []string{"store-b", "a&b <c>", "store-a"} {
				c.Keep(with(get(noon), func(x *record.Exchange) { x.Store = s }))
			}
			c.Keep(with(get(noon.Add(48*time.Hour)), func(x *record.Exchange) { x.Store = "later" }))
			c.Keep(with(get(noon.Add(-48*time.Hour)), func(x *record.Exchange) { x.Store = "earlier" }))
			c.Keep(with(get(noon.Add(48*time.Hour)), func(x *record.Exchange) { x.Store = "earlier" })) // seen again since, but not that day
			c.Keep(with(get(noon), func(x *record.Exchange) { x.Environment, x.Region, x.Store = "env-2", "eu-west-1", "x" }))
			c.Keep(with(get(noon), func(x *record.Exchange) { x.Region, x.Store, x.UpstreamAttempts = "us-west-2", "cached", 0 }))
			flush(t, c)
			now := noon.Add(72 * time.Hour)
			for _, tt := range []struct{ target, want string }{
				{"org/environments" + day, `["env","env-2"]`},
				{"org/environments/env/regions" + day, `["us-east-1","us-west-2"]`},
				{"org/environments/env/regions/us-east-1/stores" + day, `["a&b <c>","store-a","store-b"]`},
				{"org/environments/env-2/regions/eu-west-1/stores" + day, `["x"]`},
				{"org/environments/none/regions" + day, `[]`},
				{"org/environments/env/regions" + day + "&source=upstream", `["us-east-1"]`},
				{"other/environments" + day, `[]`},
			} {
				if got := answer(t, c, base+tt.target, now); got != tt.want {
					t.Errorf("%s: got %s, want %s", tt.target, got, tt.want)
				}
			}
		})
	}
}

func TestStrangerIsRefused(t *testing.T) {
	t.Parallel()
	c := memory(t)
	c.Keep(get(noon))
	c.LearnTree("us", "org", []string{"sub"})
	flush(t, c)
	for _, path := range append(allPaths, "org?isMaster=true", "sub") {
		q := question(t, "us", base+path)
		for _, organizations := range [][]string{nil, {"other", "or", "orgs", ""}} {
			q.Organizations = organizations
			if _, err := c.Answer(t.Context(), q, noon); !errors.Is(err, stats.ErrNotMember) {
				t.Errorf("%s for a member of %q: %v, want ErrNotMember", path, organizations, err)
			}
		}
	}
}

func TestPlanesAreApart(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			store := kind.open(t)
			c := stats.New(stats.Options{Store: store})
			c.Keep(get(noon))
			c.LearnTree("eu", "org", []string{"sub"})
			flush(t, c)
			for _, path := range allPaths {
				q := question(t, "eu", base+path+day)
				said, err := c.Answer(t.Context(), q, noon)
				body := string(said.Body)
				if err != nil || strings.Contains(body, `"objectStoreRequestCount":1`) || strings.Contains(body, `["`) {
					t.Errorf("plane eu, %s: %s, %v; want nothing of plane us", path, body, err)
				}
			}
			if got := answer(t, c, base+"sub"+day+"&isMaster=true", noon); got == "[]" {
				t.Error("plane us knows the tree of plane eu")
			}
		})
	}
}

func TestSourceTellsClientsFromUpstream(t *testing.T) {
	t.Parallel()
	c := memory(t)
	keep(c, 2, get(noon))
	keep(c, 5, with(get(noon), func(x *record.Exchange) { x.Hit, x.UpstreamAttempts, x.UpstreamStatus = true, 0, 0 }))
	flush(t, c)
	for source, want := range map[string]int{"": 7, "&source=client": 7, "&source=upstream": 2} {
		if got := total(t, c, base+"org"+day+source, noon); got != want {
			t.Errorf("%q: got %d, want %d", source, got, want)
		}
	}
}

func TestOnlyStatsOperationsAreAnswered(t *testing.T) {
	t.Parallel()
	op, err := objectstore.Parse(http.MethodGet, base+"org/regions", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := memory(t).Answer(t.Context(), stats.Question{Operation: op, Organizations: []string{"org"}}, noon); err == nil {
		t.Error("an operation of Object Store was answered")
	}
}

// FuzzAnswer says of any query: it is refused as one that the caller got wrong, or answered with every bucket from the one of startDate to the one
// of endDate and no more than the longest time frame can touch.
func FuzzAnswer(f *testing.F) {
	f.Add("startDate=2024-08-11T17%3A51%3A54.000Z&endDate=2024-09-11T17%3A51%3A54.000Z&period=1month&isMaster=true")
	f.Add("startDate=2024-08-11T17:51:54+02:00&endDate=2024-08-11T17:51:54Z&period=1hour&source=upstream")
	f.Add("startDate=0000-01-01T00:00:00%2B14:00&endDate=0000-01-31T00:00:00-12:00&period=1day")
	f.Add("startDate=9999-12-31T23:59:59.999Z&endDate=9999-12-31T23:59:59.999-23:59&period=1hour")
	c := stats.New(stats.Options{Store: stats.NewMemory(stats.MemoryOptions{})})
	f.Fuzz(func(t *testing.T, query string) {
		op, err := objectstore.Parse(http.MethodGet, base+"org", query)
		if err != nil {
			return
		}
		said, err := c.Answer(t.Context(), stats.Question{Operation: op, Organizations: []string{"org"}}, noon)
		if err != nil {
			if _, ok := errors.AsType[*objectstore.QueryError](err); !ok {
				t.Fatalf("Answer(%q): %v, want a QueryError", query, err)
			}
			return
		}
		body := said.Body
		var points []map[string]any
		if err := json.Unmarshal(body, &points); err != nil {
			t.Fatalf("Answer(%q) = %s: %v", query, body, err)
		}
		if len(points) < 1 || len(points) > 32 {
			t.Fatalf("Answer(%q) has %d buckets", query, len(points))
		}
		for _, p := range points {
			if diff := cmp.Diff(0.0, p["objectStoreRequestCount"]); diff != "" {
				t.Fatalf("Answer(%q) counts what nobody did: %s", query, diff)
			}
		}
	})
}
