package metrics_test

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"osgate/record"
	"osgate/telemetry/metrics"
)

func newMetrics(tb testing.TB, o metrics.Options) *metrics.Metrics {
	tb.Helper()
	m, err := metrics.New(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// scrape returns the page that Prometheus reads.
func scrape(tb testing.TB, m *metrics.Metrics) string {
	tb.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		tb.Fatalf("/metrics answers %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// series returns the lines of a scrape, without comments and metrics of the Go runtime.
func series(page string) []string {
	var lines []string
	for line := range strings.Lines(page) {
		if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "go_") && !strings.HasPrefix(line, "process_") {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return lines
}

// getKey returns the exchange of a GET of a key that upstream answered.
func getKey() *record.Exchange {
	return &record.Exchange{
		ID: "request-1", Start: time.Now(), Duration: 40 * time.Millisecond,
		Method: http.MethodGet, Route: "/api/v1/keys/{keyId}", Surface: record.SurfaceObjectStore, Operation: "getKey",
		Plane: "us", Region: "us-east-1", Organization: "org", Environment: "env", Store: "store", Principal: "client", Client: "client",
		Status: 200, Cache: record.CacheResult{Forward: record.ForwardMiss, Stored: true}, Charged: true, UpstreamAttempts: 1, UpstreamStatus: 200, UpstreamDuration: 30 * time.Millisecond,
		Attempts:     []record.Attempt{{Status: 200, Duration: 30 * time.Millisecond}},
		RequestBytes: 10, ResponseBytes: 300,
	}
}

// seriesCase is a change to the exchange of [getKey], and the series that the changed
// exchange has.
type seriesCase struct {
	change func(x *record.Exchange)
	want   []string
}

// checkSeries checks that each exchange has its series.
func checkSeries(t *testing.T, rows map[string]seriesCase) {
	t.Helper()
	for name, tt := range rows {
		t.Run(name, func(t *testing.T) {
			server := func(_ record.Surface, _, region string) (string, int) { return region + ".example", 443 }
			m := newMetrics(t, metrics.Options{TLS: true, Server: server})
			x := getKey()
			tt.change(x)
			m.Keep(x)
			lines := strings.Join(series(scrape(t, m)), "\n")
			for _, want := range tt.want {
				if !strings.Contains("\n"+lines+"\n", "\n"+want+"\n") {
					t.Errorf("no series\n%s\nin\n%s", want, lines)
				}
			}
		})
	}
}

func TestExchangeIsCountedInSeries(t *testing.T) {
	checkSeries(t, map[string]seriesCase{
		"sent again twice": {func(x *record.Exchange) { x.UpstreamResent = 2 }, []string{
			`osgate_upstream_closed_connections_total{osgate_upstream_closed_outcome="resent"} 2`,
			`osgate_upstream_closed_connections_total{osgate_upstream_closed_outcome="failed"} 0`,
		}},
		"a write on a closed connection": {func(x *record.Exchange) {
			x.Status, x.UpstreamStatus, x.UpstreamError = 502, 0, record.KeptConnectionClosed
		}, []string{
			`osgate_upstream_closed_connections_total{osgate_upstream_closed_outcome="resent"} 0`,
			`osgate_upstream_closed_connections_total{osgate_upstream_closed_outcome="failed"} 1`,
		}},
		"forwarded": {func(*record.Exchange) {}, []string{
			`http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="200",http_route="/api/v1/keys/{keyId}",url_scheme="https"} 1`,
			`http_server_request_duration_seconds_bucket{http_request_method="GET",http_response_status_code="200",http_route="/api/v1/keys/{keyId}",url_scheme="https",le="0.025"} 0`,
			`http_server_request_duration_seconds_bucket{http_request_method="GET",http_response_status_code="200",http_route="/api/v1/keys/{keyId}",url_scheme="https",le="0.05"} 1`,
			`http_server_request_duration_seconds_sum{http_request_method="GET",http_response_status_code="200",http_route="/api/v1/keys/{keyId}",url_scheme="https"} 0.04`,
			`http_client_request_duration_seconds_sum{http_request_method="GET",http_response_status_code="200",osv2_plane="us",osv2_region="us-east-1",server_address="us-east-1.example",server_port="443"} 0.03`,
			`osgate_exchanges_total{osgate_outcome="upstream_ok",osv2_operation="getKey",osv2_plane="us",osv2_region="us-east-1"} 1`,
			`osgate_upstream_requests_total{http_response_status_code="200",osv2_operation="getKey",osv2_plane="us",osv2_region="us-east-1"} 1`,
			`osgate_cache_lookups_total{osgate_cache_result="miss"} 1`,
			`http_server_request_body_size_bytes_sum{http_request_method="GET",http_response_status_code="200",http_route="/api/v1/keys/{keyId}",url_scheme="https"} 10`,
			`http_server_response_body_size_bytes_bucket{http_request_method="GET",http_response_status_code="200",http_route="/api/v1/keys/{keyId}",url_scheme="https",le="1000"} 1`,
			`osgate_billing_units_total{osgate_billing_party="client",osv2_operation="getKey"} 1`,
			`osgate_billing_units_total{osgate_billing_party="upstream",osv2_operation="getKey"} 1`,
			`osgate_body_io_bytes_total{network_io_direction="receive",osv2_operation="getKey"} 10`,
			`osgate_body_io_bytes_total{network_io_direction="transmit",osv2_operation="getKey"} 300`,
			`osgate_quota_decisions_total{osgate_quota_decision="admitted",osgate_quota_degraded="false"} 1`,
			`osgate_quota_decisions_total{osgate_quota_decision="refused",osgate_quota_degraded="false"} 0`,
		}},
		"hit": {func(x *record.Exchange) {
			x.Hit, x.Cache, x.UpstreamAttempts, x.UpstreamStatus, x.UpstreamDuration = true, record.CacheResult{Hit: true, TTL: 8 * time.Second}, 0, 0, 0
		}, []string{
			`osgate_exchanges_total{osgate_outcome="hit",osv2_operation="getKey",osv2_plane="us",osv2_region="us-east-1"} 1`,
			`osgate_cache_lookups_total{osgate_cache_result="hit"} 1`,
		}},
		"bypass": {func(x *record.Exchange) {
			x.Cache = record.CacheResult{Forward: record.ForwardBypass, Collapsed: true, Detail: "write in flight"}
		}, []string{
			`osgate_cache_lookups_total{osgate_cache_reason="write in flight",osgate_cache_result="bypass"} 1`,
		}},
		"a method of the client's own": {func(x *record.Exchange) { x.Method = "BREW" }, []string{
			`http_server_request_duration_seconds_count{http_request_method="_OTHER",http_response_status_code="200",http_route="/api/v1/keys/{keyId}",url_scheme="https"} 1`,
		}},
	})
}

func TestQuotaIsCountedInSeries(t *testing.T) {
	checkSeries(t, map[string]seriesCase{
		"over quota after waiting": {func(x *record.Exchange) {
			x.Status, x.Code, x.Waited, x.UpstreamAttempts = 429, "over-quota", time.Second, 0
		}, []string{
			`osgate_exchanges_total{osgate_code="over-quota",osgate_outcome="refused",osv2_operation="getKey",osv2_plane="us",osv2_region="us-east-1"} 1`,
			`osgate_quota_decisions_total{osgate_quota_decision="refused",osgate_quota_degraded="false"} 1`,
			`osgate_quota_wait_seconds_sum 1`,
		}},
		"waited, without Redis": {func(x *record.Exchange) { x.Waited, x.Degraded = 100*time.Millisecond, true }, []string{
			`osgate_quota_decisions_total{osgate_quota_decision="waited",osgate_quota_degraded="true"} 1`,
			`osgate_quota_wait_seconds_sum 0.1`,
		}},
	})
}

func TestFailureIsCountedInSeries(t *testing.T) {
	checkSeries(t, map[string]seriesCase{
		"upstream unreachable after three tries": {func(x *record.Exchange) {
			x.Status, x.Code, x.UpstreamStatus, x.UpstreamAttempts = 502, "upstream-unreachable", 0, 3
			x.Attempts = []record.Attempt{{Status: 429, Duration: time.Second}, {Error: "timeout", Duration: 2 * time.Second}, {Error: "connection_refused"}}
		}, []string{
			`http_server_request_duration_seconds_count{error_type="upstream-unreachable",http_request_method="GET",http_response_status_code="502",http_route="/api/v1/keys/{keyId}",url_scheme="https"} 1`,
			`http_client_request_duration_seconds_count{error_type="upstream-unreachable",http_request_method="GET",osv2_plane="us",osv2_region="us-east-1",server_address="us-east-1.example",server_port="443"} 1`,
			`http_client_request_duration_seconds_sum{error_type="429",http_request_method="GET",http_response_status_code="429",osv2_plane="us",osv2_region="us-east-1",server_address="us-east-1.example",server_port="443"} 1`,
			`http_client_request_duration_seconds_sum{error_type="timeout",http_request_method="GET",osv2_plane="us",osv2_region="us-east-1",server_address="us-east-1.example",server_port="443"} 2`,
			`osgate_upstream_requests_total{osv2_operation="getKey",osv2_plane="us",osv2_region="us-east-1"} 3`,
		}},
		"answered at the second attempt": {func(x *record.Exchange) {
			x.UpstreamAttempts, x.UpstreamDuration = 2, 5*time.Second
			x.Attempts = []record.Attempt{{Status: 429, Duration: time.Second}, {Status: 200, Duration: 4 * time.Second}}
		}, []string{
			`http_client_request_duration_seconds_sum{error_type="429",http_request_method="GET",http_response_status_code="429",osv2_plane="us",osv2_region="us-east-1",server_address="us-east-1.example",server_port="443"} 1`,
			`http_client_request_duration_seconds_sum{http_request_method="GET",http_response_status_code="200",osv2_plane="us",osv2_region="us-east-1",server_address="us-east-1.example",server_port="443"} 4`,
		}},
		"more attempts than are kept": {func(x *record.Exchange) {
			x.UpstreamAttempts, x.Attempts = 40, []record.Attempt{{Status: 429, Duration: time.Second}}
		}, []string{
			`http_client_request_duration_seconds_sum{error_type="429",http_request_method="GET",http_response_status_code="429",osv2_plane="us",osv2_region="us-east-1",server_address="us-east-1.example",server_port="443"} 1`,
		}},
		"upstream's own 404": {func(x *record.Exchange) { x.Status, x.UpstreamStatus, x.Attempts[0].Status = 404, 404, 404 }, []string{
			`http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="404",http_route="/api/v1/keys/{keyId}",url_scheme="https"} 1`,
			`http_client_request_duration_seconds_count{error_type="404",http_request_method="GET",http_response_status_code="404",osv2_plane="us",osv2_region="us-east-1",server_address="us-east-1.example",server_port="443"} 1`,
		}},
		"client left": {func(x *record.Exchange) { x.Status, x.UpstreamStatus, x.Aborted = 499, 0, true }, []string{
			`http_server_request_duration_seconds_count{error_type="client_left",http_request_method="GET",http_route="/api/v1/keys/{keyId}",url_scheme="https"} 1`,
			`osgate_exchanges_total{osgate_outcome="client_left",osv2_operation="getKey",osv2_plane="us",osv2_region="us-east-1"} 1`,
		}},
	})
}

func TestUnchargedExchangesAreNoQuotaDecisions(t *testing.T) {
	m := newMetrics(t, metrics.Options{})
	x := getKey()
	x.Charged = false
	m.Keep(x)
	if line := regexp.MustCompile(`(?m)^osgate_quota_decisions_total.* [^0]$`).FindString(scrape(t, m)); line != "" {
		t.Errorf("an exchange that was not charged is counted: %s", line)
	}
}

func TestGaugesShowTheValuesOfTheirFunctions(t *testing.T) {
	m := newMetrics(t, metrics.Options{Gauges: metrics.Gauges{
		ExchangesUnderWay: func(report func(string, int64)) { report("GET", 7); report("PUT", 0); report("", 1) },
		CacheBytes:        func() int64 { return 4096 },
		CacheEntries:      func() int64 { return 3 },
		RedisUp:           func() bool { return true },
		CacheEvents:       func(report func(string, int64)) { report("fill", 5); report("eviction", 0) },
		CacheLeases:       func(report func(string, int64)) { report("under_way", 2); report("kept", 6) },
	}})
	page := scrape(t, m)
	for _, want := range []string{
		`http_server_active_requests{http_request_method="GET",url_scheme="http"} 7`,
		`http_server_active_requests{http_request_method="PUT",url_scheme="http"} 0`,
		`http_server_active_requests{http_request_method="_OTHER",url_scheme="http"} 1`,
		"osgate_cache_size_bytes 4096", "osgate_cache_entries 3", "osgate_redis_up 1",
		`osgate_cache_events_total{osgate_cache_event="fill"} 5`, `osgate_cache_events_total{osgate_cache_event="eviction"} 0`,
		`osgate_cache_leases{osgate_cache_lease="under_way"} 2`, `osgate_cache_leases{osgate_cache_lease="kept"} 6`,
	} {
		if !strings.Contains(page, "\n"+want+"\n") {
			t.Errorf("no %q in %v", want, series(page))
		}
	}
}

func TestHitsSaveRequestsAndBillingUnits(t *testing.T) {
	m := newMetrics(t, metrics.Options{})
	for bytes := range map[int64]bool{0: true, 1: true, 100_000: true, 100_001: true} { // 1, 1, 1 and 2 units
		m.Keep(&record.Exchange{Surface: record.SurfaceObjectStore, Operation: "getKey", Status: 200, Hit: true, ResponseBytes: bytes})
	}
	m.Keep(&record.Exchange{Operation: "listStores", Status: 200, Hit: true, UpstreamAttempts: 1, UpstreamStatus: 503}) // stale, since upstream failed
	m.Keep(&record.Exchange{Operation: "listKeys", Status: 200, UpstreamAttempts: 1, UpstreamStatus: 200, ResponseBytes: 1000})
	m.Keep(&record.Exchange{Surface: record.SurfaceObjectStore, Operation: "refreshed", Status: 304, Hit: true, UpstreamAttempts: 1, UpstreamStatus: 200, UpstreamBytes: 200_001})
	page := scrape(t, m)
	for _, want := range []string{
		`osgate_cache_saved_requests_total{osv2_operation="getKey"} 4`, `osgate_cache_saved_units_total{osv2_operation="getKey"} 5`,
		`osgate_billing_units_total{osgate_billing_party="client",osv2_operation="refreshed"} 1`,
		`osgate_billing_units_total{osgate_billing_party="upstream",osv2_operation="refreshed"} 3`,
	} {
		if !strings.Contains(page, "\n"+want+"\n") {
			t.Errorf("no %q in %v", want, series(page))
		}
	}
	for _, sent := range []string{"listKeys", "listStores"} {
		if strings.Contains(page, `saved_requests_total{osv2_operation="`+sent+`"}`) {
			t.Errorf("a %s that was sent counts as saved", sent)
		}
	}
}

func TestGuessersSpendNoQuota(t *testing.T) {
	m := newMetrics(t, metrics.Options{})
	m.Keep(&record.Exchange{Operation: "mintToken", Status: 429, Code: "over-quota"})
	m.Keep(&record.Exchange{Operation: "getKey", Status: 429, Code: "over-quota", Charged: true})
	if page := scrape(t, m); !strings.Contains(page, `osgate_quota_decisions_total{osgate_quota_decision="refused",osgate_quota_degraded="false"} 1`) {
		t.Errorf("want one refusal in %v", series(page))
	}
}

func TestGaugesWithoutAFunctionAreNotShown(t *testing.T) {
	page := scrape(t, newMetrics(t, metrics.Options{}))
	for _, name := range []string{"active_requests", "osgate_cache_size", "osgate_cache_entries", "osgate_redis_up", "osgate_cache_events"} {
		if strings.Contains(page, name) {
			t.Errorf("%s is shown without a function", name)
		}
	}
}

func TestProcessAndRuntimeHaveMetrics(t *testing.T) {
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=staging")
	t.Setenv("OTEL_SERVICE_NAME", "osgate-eu")
	page := scrape(t, newMetrics(t, metrics.Options{Version: "1.2.3"}))
	for _, want := range []string{
		"go_goroutines ", "process_resident_memory_bytes ", `service_name="osgate-eu"`, `service_version="1.2.3"`, `deployment_environment_name="staging"`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in the scrape", want)
		}
	}
}

func TestConcurrentExchangesAreAllCounted(t *testing.T) {
	m := newMetrics(t, metrics.Options{})
	const keepers, each = 8, 2000
	var wg sync.WaitGroup
	for k := range keepers {
		wg.Go(func() {
			for i := range each {
				x := getKey()
				x.Region = fmt.Sprint("region-", (i+k)%17)
				m.Keep(x)
			}
		})
	}
	scrape(t, m) // in between
	wg.Wait()
	total := 0
	for _, line := range series(scrape(t, m)) {
		if rest, ok := strings.CutPrefix(line, "osgate_exchanges_total{"); ok {
			var n int
			if _, err := fmt.Sscan(rest[strings.LastIndex(rest, " ")+1:], &n); err != nil {
				t.Fatal(err)
			}
			total += n
		}
	}
	if total != keepers*each {
		t.Errorf("%d exchanges counted, want %d", total, keepers*each)
	}
}

func TestShutdownIsFinalAndHarmless(t *testing.T) {
	m := newMetrics(t, metrics.Options{})
	for range 2 {
		if err := m.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	}
	m.Keep(getKey())
}

func TestAnExemplarLinksToTheSpanOfWhatIsSampled(t *testing.T) {
	m := newMetrics(t, metrics.Options{})
	place := record.Trace{Sampled: true, Span: [8]byte{1}}
	if _, err := hex.Decode(place.ID[:], []byte("0af7651916cd43dd8448eb211c80319c")); err != nil {
		t.Fatal(err)
	}
	m.Keep(&record.Exchange{Method: "GET", Status: 200, Trace: record.Trace{ID: [16]byte{7}, Span: [8]byte{7}}})
	m.Keep(&record.Exchange{Method: "GET", Status: 200, Trace: place})
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", "application/openmetrics-text")
	m.Handler().ServeHTTP(w, r)
	for _, want := range []string{`trace_id="0af7651916cd43dd8448eb211c80319c"`, `span_id="0100000000000000"`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no exemplar with %s", want)
		}
	}
	if strings.Contains(w.Body.String(), `trace_id="07`) {
		t.Error("an exchange that was not sampled has an exemplar")
	}
}

func TestATimeoutBehindAStaleAnswerHasItsErrorType(t *testing.T) {
	m := newMetrics(t, metrics.Options{})
	x := getKey()
	x.Hit, x.Cache = true, record.CacheResult{Hit: true, TTL: 8 * time.Second}
	x.UpstreamStatus, x.UpstreamDuration, x.UpstreamError = 0, 30*time.Second, "timeout"
	x.Attempts = []record.Attempt{{Error: "timeout", Duration: 30 * time.Second}}
	m.Keep(x)
	for line := range strings.Lines(scrape(t, m)) {
		const count = "http_client_request_duration_seconds_count{"
		if strings.HasPrefix(line, count) && strings.Contains(line, `error_type="timeout"`) {
			return
		}
	}
	t.Error("the duration of a timeout has no error_type")
}

func BenchmarkKeep(b *testing.B) {
	quota, hit := getKey(), getKey()
	hit.Hit, hit.Cache, hit.UpstreamAttempts = true, record.CacheResult{Hit: true, TTL: 8 * time.Second}, 0
	quota.Status, quota.Code, quota.Waited, quota.UpstreamAttempts = 429, "over-quota", time.Second, 0
	for _, bb := range []struct {
		name string
		x    *record.Exchange
	}{{"forwarded", getKey()}, {"hit", hit}, {"over quota", quota}} {
		m := newMetrics(b, metrics.Options{})
		b.Run(bb.name, func(b *testing.B) { benchmarkKeeper(b, m, bb.x) })
	}
}

func benchmarkKeeper(b *testing.B, k record.Keeper, x *record.Exchange) {
	b.Helper()
	b.Run("alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			k.Keep(x)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				k.Keep(x)
			}
		})
	})
}
