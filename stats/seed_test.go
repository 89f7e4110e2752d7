package stats_test

import (
	"testing"
	"time"

	"osgate/record"
	"osgate/stats"
)

// seedExamples are the example queries of the vendor's page "Object Store v2 Stats
// API", each with the body that the page shows for it. Two values on the page are
// impossible: the end date 2024-11-131, which is rejected, and months with the day of
// the query as their time stamp, where its other examples of months have the first day.
var seedExamples = []struct {
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

// seedCounts are the counts that lead to these answers.
var seedCounts = []struct {
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
}

func TestSeedExamplesAreAnsweredInTheirForm(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			store := kind.open(t)
			c := stats.New(stats.Options{Store: store})
			c.LearnTree("us", "root", []string{"sub"})
			for _, n := range seedCounts {
				start, err := time.Parse(time.RFC3339, n.at)
				if err != nil {
					t.Fatal(err)
				}
				keep(c, n.count, with(get(start), func(x *record.Exchange) { x.Organization = n.organization }))
			}
			flush(t, c)
			now := time.Date(2024, 12, 4, 0, 0, 0, 0, time.UTC)
			for _, e := range seedExamples {
				if got := answer(t, c, base+e.target, now); got != e.want {
					t.Errorf("%s: %s\n got %s\nwant %s", e.name, e.target, got, e.want)
				}
			}
		})
	}
}
