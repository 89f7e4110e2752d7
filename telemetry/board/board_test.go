package board_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"osgate/record"
	"osgate/telemetry/board"
)

// getKey returns the exchange of a GET of a key that upstream answered.
func getKey() *record.Exchange {
	return &record.Exchange{
		ID: "request-1", Start: time.Now(), Duration: 40 * time.Millisecond,
		Method: http.MethodGet, Route: "/api/v1/keys/{keyId}", Surface: record.SurfaceObjectStore, Operation: "getKey",
		Plane: "us", Region: "us-east-1", Organization: "org", Environment: "env", Store: "store",
		Principal: "client", Client: "client",
		Status: 200, Cache: record.CacheResult{Forward: record.ForwardMiss, Stored: true}, Charged: true,
		UpstreamAttempts: 1, UpstreamStatus: 200, UpstreamDuration: 30 * time.Millisecond,
		Attempts:     []record.Attempt{{Status: 200, Duration: 30 * time.Millisecond}},
		RequestBytes: 10, ResponseBytes: 300,
	}
}

// pass waits until d has passed.
func pass(d time.Duration) { <-time.After(d) } // time for the board

func count(s board.Snapshot, o record.Outcome) board.Count {
	at := slices.IndexFunc(s.Outcomes, func(c board.OutcomeCount) bool { return c.Outcome == o })
	return s.Outcomes[at].Count
}

func TestBoardHasNowTheLastMinuteAndTotals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := board.New(board.Gauges{})
		for range 70 { // seconds, two exchanges in each
			b.Keep(getKey())
			b.Keep(getKey())
			pass(time.Second)
		}
		s := b.Snapshot(time.Now())
		want := board.Count{PerSecond: 2, Window: 120, Total: 140}
		if got := count(s, record.OutcomeUpstreamOK); got != want {
			t.Errorf("after 70 s with 2 a second: %+v, want %+v", got, want)
		}
		if got, want := s.Sent, (board.Count{PerSecond: 600, Window: 36_000, Total: 42_000}); got != want {
			t.Errorf("bytes sent: %+v, want %+v", got, want)
		}
		pass(6 * time.Second)
		want = board.Count{Window: 108, Total: 140}
		if got := count(b.Snapshot(time.Now()), record.OutcomeUpstreamOK); got != want {
			t.Errorf("six idle seconds later: %+v, want %+v", got, want)
		}
		pass(time.Minute)
		s = b.Snapshot(time.Now())
		if got, want := count(s, record.OutcomeUpstreamOK), (board.Count{Total: 140}); got != want {
			t.Errorf("an idle minute later: %+v, want %+v", got, want)
		}
		if len(s.Clients)+len(s.Stores) > 0 || s.Latencies.All.Count > 0 {
			t.Errorf("an idle minute later there are still %v, %v, %+v", s.Clients, s.Stores, s.Latencies)
		}
	})
}

func TestYoungBoardDividesByItsAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := board.New(board.Gauges{})
		b.Keep(getKey())
		s := b.Snapshot(time.Now())
		if s.WindowSeconds != 0 || count(s, record.OutcomeUpstreamOK) != (board.Count{Total: 1}) {
			t.Errorf("within the first second: %+v", s)
		}
		b.Keep(getKey())
		pass(2 * time.Second)
		s = b.Snapshot(time.Now())
		if got := count(s, record.OutcomeUpstreamOK).PerSecond; got != 1 || s.WindowSeconds != 2 {
			t.Errorf("two exchanges in two seconds: %v a second over %d s, want 1 over 2", got, s.WindowSeconds)
		}
		if got := s.Clients[0].PerSecond; got != 1 {
			t.Errorf("its client: %v a second, want 1", got)
		}
	})
}

func TestBoardNamesClientsAndStores(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := board.New(board.Gauges{})
		keep := func(principal, store string, change func(x *record.Exchange)) {
			x := getKey()
			x.Principal, x.Store = principal, store
			change(x)
			b.Keep(x)
		}
		plain := func(*record.Exchange) {}
		hit := func(x *record.Exchange) {
			x.Hit, x.Cache, x.UpstreamAttempts = true, record.CacheResult{Hit: true, TTL: 8 * time.Second}, 0
		}
		over := func(x *record.Exchange) {
			x.Status, x.Code, x.UpstreamAttempts, x.Cache = 429, "over-quota", 0, record.CacheResult{}
		}
		keep("app-one", "orders", plain)
		keep("app-one", "orders", hit)
		keep("app-two", "carts", plain)
		keep("app-one", "orders", over)
		keep("", "made-up", func(x *record.Exchange) { over(x); x.Status, x.Code = 401, "bad-token" })
		keep("app-two", "orders", func(x *record.Exchange) { x.Status = 499 })
		pass(10 * time.Second)
		s := b.Snapshot(time.Now())
		if diff := cmp.Diff([]board.ClientCount{
			{Principal: "app-one", Requests: 3, Refused: 1, PerSecond: 0.3},
			{Principal: "app-two", Requests: 1, PerSecond: 0.1},
		}, s.Clients); diff != "" {
			t.Errorf("clients (-want +got):\n%s", diff)
		}
		place := func(store string) board.Place { return board.Place{"us", "us-east-1", "org", "env", store} }
		if diff := cmp.Diff([]board.StoreCount{
			{Place: place("orders"), Requests: 2, Hits: 1, Misses: 1, PerSecond: 0.2},
			{Place: place("carts"), Requests: 1, Misses: 1, PerSecond: 0.1},
		}, s.Stores); diff != "" {
			t.Errorf("stores (-want +got):\n%s", diff)
		}
		if s.Lookups.Window != 4 || count(s, record.OutcomeHit).Window != 1 {
			t.Errorf("%d lookups with %d hits, want 4 with 1", s.Lookups.Window, count(s, record.OutcomeHit).Window)
		}
	})
}

func TestBoardKeepsTheHeaviestNamesAndNoMoreThanFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := board.New(board.Gauges{})
		for i := range 20_000 {
			x := getKey()
			x.Principal, x.Store = fmt.Sprint("tail-", i), fmt.Sprint("tail-", i)
			b.Keep(x)
			if i%20 == 0 {
				heavy := getKey()
				heavy.Principal = fmt.Sprint("heavy-", i/20%10)
				b.Keep(heavy)
			}
		}
		pass(time.Second)
		s := b.Snapshot(time.Now())
		if len(s.Clients) != 50 || len(s.Stores) != 50 {
			t.Fatalf("%d clients and %d stores shown, want 50 of each", len(s.Clients), len(s.Stores))
		}
		for i, c := range s.Clients[:10] {
			if !strings.HasPrefix(c.Principal, "heavy-") || c.Requests != 100 {
				t.Errorf("client %d is %s with %d requests, want one of the ten heavy ones with 100", i, c.Principal, c.Requests)
			}
		}
	})
}

func TestNamesAreCutBetweenCharacters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := board.New(board.Gauges{})
		x := getKey()
		x.Store = strings.Repeat("a", 127) + "é" + strings.Repeat("b", 1<<16)
		b.Keep(x)
		pass(time.Second)
		if got, want := b.Snapshot(time.Now()).Stores[0].Store, strings.Repeat("a", 127)+"…"; got != want {
			t.Errorf("a long name is shown as %q, want %q", got, want)
		}
	})
}

func TestLastRefusalsComeLatestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := board.New(board.Gauges{})
		start := time.Now()
		b.Keep(getKey())
		for i := range 60 {
			x := getKey()
			x.ID, x.Status, x.Code = fmt.Sprint("request-", i), 403, "denied"
			b.Keep(x)
			pass(time.Second)
		}
		got := b.Snapshot(time.Now()).Refusals
		if len(got) != 50 {
			t.Fatalf("%d refusals, want the last 50", len(got))
		}
		want := board.Refusal{
			Time: start.Add(59 * time.Second), RequestID: "request-59", Code: "denied", Status: 403, Principal: "client", Operation: "getKey",
		}
		if diff := cmp.Diff(want, got[0]); diff != "" {
			t.Errorf("the first of them (-want +got):\n%s", diff)
		}
		if got[49].RequestID != "request-10" {
			t.Errorf("the last of them is %s, want request-10", got[49].RequestID)
		}
	})
}

func TestCodesBeyondTheBoundCountTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := board.New(board.Gauges{})
		for i := range 100 {
			x := getKey()
			x.Status, x.Code = 400, record.Code(fmt.Sprint("code-", i))
			b.Keep(x)
		}
		codes := b.Snapshot(time.Now()).Codes
		if last := codes[len(codes)-1]; len(codes) != 32 || last.Code != "other" || last.Total != 69 {
			t.Errorf("%d codes, the last %+v, want 32 and 69 others", len(codes), last)
		}
	})
}

func TestLatenciesAreQuantiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := board.New(board.Gauges{})
		for i := 1; i <= 100; i++ {
			x := getKey()
			x.Duration, x.UpstreamDuration = time.Duration(i)*time.Millisecond, time.Duration(i)*100*time.Microsecond
			b.Keep(x)
		}
		pass(time.Second)
		l := b.Snapshot(time.Now()).Latencies
		for name, tt := range map[string]struct{ got, truth float64 }{
			"p50":          {l.All.P50, 50},
			"p95":          {l.All.P95, 95},
			"p99":          {l.All.P99, 99},
			"upstream p50": {l.Upstream.P50, 5},
			"upstream p99": {l.Upstream.P99, 9.9},
		} {
			if tt.got < tt.truth || tt.got > tt.truth*1.125 {
				t.Errorf("%s is %v ms, want %v or at most one eighth more", name, tt.got, tt.truth)
			}
		}
		if l.All.Count != 100 || l.Upstream.Count != 100 || l.Hit != (board.Quantiles{}) {
			t.Errorf("counts %d, %d and hits %+v, want 100, 100 and none", l.All.Count, l.Upstream.Count, l.Hit)
		}
	})
}

func TestEmptyBoardIsJSONWithoutNull(t *testing.T) {
	text, err := json.Marshal(board.New(board.Gauges{}).Snapshot(time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "null") || strings.Contains(string(text), "redisUp") {
		t.Errorf("an empty board is %s, want empty lists and no gauge", text)
	}
}

func TestBoardShowsWhatGaugesSay(t *testing.T) {
	b := board.New(board.Gauges{CacheBytes: func() int64 { return 42 }, RedisUp: func() bool { return false }})
	s := b.Snapshot(time.Now())
	if s.CacheBytes == nil || *s.CacheBytes != 42 || s.RedisUp == nil || *s.RedisUp || s.CacheEntries != nil {
		t.Errorf("gauges read %v, %v, %v; want 42, false and nothing", s.CacheBytes, s.RedisUp, s.CacheEntries)
	}
}

func TestConcurrentExchangesAreAllOnTheBoard(t *testing.T) {
	b := board.New(board.Gauges{})
	const keepers, each = 8, 2000
	var wg sync.WaitGroup
	for k := range keepers {
		wg.Go(func() {
			for i := range each {
				x := getKey()
				x.Principal, x.Store = fmt.Sprint(k, i), fmt.Sprint(i)
				if i%3 == 0 {
					x.Status, x.Code = http.StatusForbidden, "denied"
				}
				b.Keep(x)
			}
		})
	}
	for range 20 {
		b.Snapshot(time.Now())
	}
	wg.Wait()
	var total int64
	for _, c := range b.Snapshot(time.Now()).Outcomes {
		total += c.Total
	}
	if total != keepers*each {
		t.Errorf("%d exchanges on the board, want %d", total, keepers*each)
	}
}

func BenchmarkSnapshot(b *testing.B) {
	counts := board.New(board.Gauges{})
	for i := range 2000 {
		x := getKey()
		x.Principal, x.Store = fmt.Sprint(i), fmt.Sprint(i)
		counts.Keep(x)
	}
	b.ReportAllocs()
	for b.Loop() {
		counts.Snapshot(time.Now())
	}
}

func BenchmarkKeep(b *testing.B) {
	over := getKey()
	over.Status, over.Code, over.Waited, over.UpstreamAttempts = 429, "over-quota", time.Second, 0
	for name, x := range map[string]*record.Exchange{"forwarded": getKey(), "hit": hit(), "over quota": over} {
		counts := board.New(board.Gauges{})
		b.Run(name+" alone", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				counts.Keep(x)
			}
		})
		b.Run(name+" parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					counts.Keep(x)
				}
			})
		})
	}
}
