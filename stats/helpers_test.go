package stats_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"osgate/internal/redisconn"
	"osgate/internal/redisconn/redistest"
	"osgate/objectstore"
	"osgate/record"
	"osgate/stats"
)

const base = "/api/v1/organizations/"

// noon is the time at which most tests count.
var noon = time.Date(2024, 8, 15, 12, 0, 0, 0, time.UTC)

// get returns an exchange that counts: the client read a key of a store from Object
// Store.
func get(at time.Time) *record.Exchange {
	return &record.Exchange{
		Start: at, Surface: record.SurfaceObjectStore, Operation: "getKey", Status: http.StatusOK,
		Plane: "us", Organization: "org", Environment: "env", Region: "us-east-1", Store: "store",
		UpstreamAttempts: 1, UpstreamStatus: http.StatusOK,
	}
}

// with returns a copy of x changed by f.
func with(x *record.Exchange, f func(*record.Exchange)) *record.Exchange {
	f(x)
	return x
}

func keep(c *stats.Counter, n int, x *record.Exchange) {
	for range n {
		c.Keep(x)
	}
}

func flush(t testing.TB, c *stats.Counter) {
	t.Helper()
	if err := c.Flush(t.Context()); err != nil {
		t.Fatalf("Flush: %v", err)
	}
}

// question parses a Stats API request. The caller belongs to the organization in the
// request and to the organizations in sub.
func question(t testing.TB, plane, target string) stats.Question {
	t.Helper()
	path, query, _ := strings.Cut(target, "?")
	op, err := objectstore.Parse(http.MethodGet, path, query)
	if err != nil {
		t.Fatalf("parsing %q: %v", target, err)
	}
	return stats.Question{Plane: plane, Operation: op, Organizations: []string{op.Ref.Organization, "sub", "sub-1", "sub-2"}}
}

// answer requests target on plane us and returns the body.
func answer(t testing.TB, c *stats.Counter, target string, now time.Time) string {
	t.Helper()
	said, err := c.Answer(t.Context(), question(t, "us", target), now)
	if err != nil {
		t.Fatalf("Answer(%s): %v", target, err)
	}
	return string(said.Body)
}

// total requests target and returns the sum of the counts.
func total(t testing.TB, c *stats.Counter, target string, now time.Time) int {
	t.Helper()
	var points []struct {
		Count int `json:"objectStoreRequestCount"`
	}
	body := answer(t, c, target, now)
	if err := json.Unmarshal([]byte(body), &points); err != nil {
		t.Fatalf("answer to %s: %v: %s", target, err, body)
	}
	sum := 0
	for _, p := range points {
		sum += p.Count
	}
	return sum
}

// day is the query string for all hours of the day of noon.
const day = "?startDate=2024-08-15T00:00:00Z&endDate=2024-08-15T23:59:59Z&period=1hour"

// memory returns a counter on a store in memory.
func memory(t testing.TB) *stats.Counter {
	t.Helper()
	return stats.New(stats.Options{Store: stats.NewMemory(stats.MemoryOptions{})})
}

func openBolt(t testing.TB, dir string) *stats.Bolt {
	t.Helper()
	s, err := stats.OpenBolt(stats.BoltOptions{Dir: dir})
	if err != nil {
		t.Fatalf("OpenBolt: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func openRedis(t testing.TB, server *redistest.Server, timeout time.Duration) *stats.Redis {
	t.Helper()
	conn, err := redisconn.Open(redisconn.Options{URL: server.URL(), Timeout: timeout})
	if err != nil {
		t.Fatalf("redisconn.Open: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return stats.NewRedis(conn)
}

// kinds are the stores that fulfill the contract.
var kinds = []struct {
	name string
	open func(testing.TB) stats.Store // opens an empty store
}{
	{"memory", func(testing.TB) stats.Store { return stats.NewMemory(stats.MemoryOptions{}) }},
	{"bolt", func(t testing.TB) stats.Store {
		t.Helper()
		return openBolt(t, t.TempDir())
	}},
	{"redis", func(t testing.TB) stats.Store {
		t.Helper()
		return openRedis(t, redistest.Start(t), time.Minute)
	}},
}

var errLost = errors.New("the answer was lost")

// faulty is a store that fails as fate decides: before or after it has applied a batch.
type faulty struct {
	stats.Store
	fate func() fate
}

type fate int

const (
	works fate = iota
	fails      // the batch was not applied
	loses      // the answer is lost after the batch was applied
)

func (f faulty) Apply(ctx context.Context, batches []*stats.Batch) []error {
	errs := make([]error, len(batches))
	for i, b := range batches {
		what := f.fate()
		if what != fails {
			errs[i] = f.Store.Apply(ctx, []*stats.Batch{b})[0]
		}
		if what != works && errs[i] == nil {
			errs[i] = errLost
		}
	}
	return errs
}

// totalOf is total for tests that rapid runs.
func totalOf(t *rapid.T, c *stats.Counter, target string) int {
	path, query, _ := strings.Cut(target, "?")
	op, err := objectstore.Parse(http.MethodGet, path, query)
	if err != nil {
		t.Fatalf("parsing %q: %v", target, err)
	}
	said, err := c.Answer(context.Background(), stats.Question{Plane: "us", Operation: op, Organizations: []string{op.Ref.Organization}}, noon)
	if err != nil {
		t.Fatalf("Answer(%s): %v", target, err)
	}
	var points []struct {
		Count int `json:"objectStoreRequestCount"`
	}
	if err := json.Unmarshal(said.Body, &points); err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, p := range points {
		sum += p.Count
	}
	return sum
}
