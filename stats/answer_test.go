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

func TestParametersAreRequiredForEveryPath(t *testing.T) {
	t.Parallel()
	for _, path := range allPaths {
		_, err := memory(t).Answer(t.Context(), question(t, "us", base+path), noon)
		if _, ok := errors.AsType[*objectstore.QueryError](err); !ok {
			t.Errorf("Answer(%s) without a query: %v, want a QueryError", path, err)
		}
	}
}

// allPaths are the seven operations of the Stats API for the scopes in which get
// counts.
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
		last, now time.Time // at now, the bucket of last still counts; one bucket later it does not
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

// TestRetentionIsWholeOnTheLastDaysOfMonths queries on days that do not exist in the
// month one retention ago. The counts from the first to the last day of that month are
// there, and stay.
func TestRetentionIsWholeOnTheLastDaysOfMonths(t *testing.T) {
	t.Parallel()
	at := func(year, month, day int) time.Time {
		return time.Date(year, time.Month(month), day, 12, 0, 0, 0, time.UTC)
	}
	for _, tt := range []struct {
		period       string
		counted, now time.Time
		want         int
	}{
		{"1hour", at(2026, 2, 28), at(2026, 5, 31), 1},
		{"1hour", at(2026, 2, 27), at(2026, 5, 31), 0},
		{"1hour", at(2026, 3, 1), at(2026, 5, 31), 1},
		{"1hour", at(2026, 3, 1), at(2026, 6, 1), 1},
		{"1day", at(2027, 2, 28), at(2028, 2, 29), 1},
		{"1day", at(2027, 2, 27), at(2028, 2, 29), 0},
		{"1month", at(2026, 2, 1), at(2028, 2, 29), 1},
		{"1month", at(2026, 1, 31), at(2028, 2, 29), 0},
	} {
		c := memory(t)
		c.Keep(get(tt.counted))
		c.Keep(with(get(tt.now), func(x *record.Exchange) { x.Organization = "another" }))
		flush(t, c)
		instant := tt.counted.Format(time.RFC3339)
		if got := total(t, c, base+"org?startDate="+instant+"&endDate="+instant+"&period="+tt.period, tt.now); got != tt.want {
			t.Errorf("%s of %v at %v: %d, want %d", tt.period, tt.counted, tt.now, got, tt.want)
		}
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
			// The store is seen again later, but not on that day.
			c.Keep(with(get(noon.Add(48*time.Hour)), func(x *record.Exchange) { x.Store = "earlier" }))
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

func TestSourceDistinguishesClientsFromUpstream(t *testing.T) {
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

// FuzzAnswer checks that any query is rejected as invalid, or answered with no more
// buckets than the longest time frame has.
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
				t.Fatalf("Answer(%q) counts operations that were not executed: %s", query, diff)
			}
		}
	})
}
