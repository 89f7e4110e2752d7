package metrics_test

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"osgate/record"
	"osgate/telemetry/metrics"
)

// distinct returns an exchange with unique names: all names that clients choose, and
// the rule, whose id operators choose.
func distinct(i int) *record.Exchange {
	x, id := getKey(), fmt.Sprint("distinct", i)
	x.ID, x.Organization, x.Environment, x.Store, x.Principal, x.Client, x.User = id, id, id, id, id, id, id
	x.RemoteAddr, x.ClientAddr, x.Cause, x.Method = id, id, id, id
	x.Rule, x.Shadow, x.PolicyErrors = id, []string{id}, []string{id}
	x.Cache = record.CacheResult{Hit: true, TTL: time.Duration(i) * time.Second}
	return x
}

// broken returns a distinct exchange in which the values from closed lists are unique
// too, as by a bug.
func broken(i int) *record.Exchange {
	x, id := distinct(i), fmt.Sprint("distinct", i)
	x.Route, x.Operation, x.Plane, x.Region, x.Code = id, id, id, id, record.Code(id)
	x.Cache = record.CacheResult{Forward: record.ForwardMiss, Detail: id}
	x.Status, x.UpstreamStatus = i, i
	return x
}

// The maximum number of series in a scrape. A label set of a histogram has one series
// for each bucket, one for +Inf, the sum and the count.
const (
	sets, histogramSets, rules = 2001, 1001, 201 // including the one for all others

	advisedSeries = 14 + 3
	sizeSeries    = 8 + 3
	waitSeries    = 12 + 3

	serverSeries = histogramSets * (advisedSeries + 2*sizeSeries)
	clientSeries = histogramSets * advisedSeries
	ruleSeries   = rules * 4
	countSeries  = sets * (1 + 1 + 1)     // exchanges, lookups, upstream requests
	opSeries     = sets * (2 + 2 + 1 + 1) // body bytes, units, saved requests and units
	fixedSeries  = 2*6 + 2*waitSeries + 2 // decisions of quota and budget, waits, build and target info
	maxOfScrape  = serverSeries + clientSeries + ruleSeries + countSeries + opSeries + fixedSeries
)

func TestSeriesDoNotGrowWithTraffic(t *testing.T) {
	m := newMetrics(t, metrics.Options{})
	kept := func(i int) *record.Exchange {
		x := distinct(i)
		x.Rule, x.Shadow, x.PolicyErrors = "", nil, nil
		return x
	}
	m.Keep(kept(0))
	want := len(series(scrape(t, m)))
	for i := range 100_000 {
		m.Keep(kept(i + 1))
	}
	page := scrape(t, m)
	if got := len(series(page)); got != want {
		t.Errorf("%d series after 100,000 distinct exchanges, want the %d there were after the first", got, want)
	}
	if strings.Contains(page, "distinct") {
		t.Error("a label contains a name of an exchange")
	}
}

func TestPolicyRulesBeyondTheBoundAreOthers(t *testing.T) {
	m := newMetrics(t, metrics.Options{})
	const exchanges = 100_000
	for i := range exchanges {
		m.Keep(distinct(i))
	}
	page := scrape(t, m)
	if got := strings.Count(page, "\nosgate_policy_decisions_total{"); got != (rules)*3 { // allow, shadow, error
		t.Errorf("%d series of policy decisions, want %d", got, rules*3)
	}
	want := fmt.Sprintf("\nosgate_policy_decisions_total{osgate_policy_decision=\"shadow\",osgate_policy_rule=\"other\"} %d\n", exchanges-rules+1)
	if !strings.Contains(page, want) {
		t.Errorf("no %s", want)
	}
}

// A value that should be from a closed list and is not, because of a bug, does not make
// series or memory grow without limit.
func TestSeriesAreBoundedForAllLabels(t *testing.T) {
	m := newMetrics(t, metrics.Options{})
	const exchanges = 100_000
	var full uint64
	for i := range exchanges {
		if m.Keep(broken(i)); i == 2*sets {
			full = heap()
		}
	}
	if grown := int64(heap()) - int64(full); grown > 1<<20 {
		t.Errorf("%d bytes more after %d exchanges than when all bounds were reached", grown, exchanges)
	}
	page := scrape(t, m)
	if got := len(series(page)); got > maxOfScrape {
		t.Errorf("%d series, want %d at most", got, maxOfScrape)
	}
	for metric, bound := range map[string]int{
		"http_server_request_duration_seconds_count": histogramSets, "http_client_request_duration_seconds_count": histogramSets,
		"osgate_exchanges_total": sets, "osgate_cache_lookups_total": sets, "osgate_upstream_requests_total": sets,
	} {
		if got := strings.Count(page, "\n"+metric+"{"); got != bound {
			t.Errorf("%d series of %s, want %d", got, metric, bound)
		}
		if want := fmt.Sprintf("\n%s{otel_metric_overflow=\"true\"} %d\n", metric, exchanges-bound+1); !strings.Contains(page, want) {
			t.Errorf("label sets beyond the limit are not counted as %s", want)
		}
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestSeriesOfOtherTimingsAreBoundedToo(t *testing.T) {
	m := newMetrics(t, metrics.Options{})
	for i := range 3000 {
		m.RoundTrip("main", fmt.Sprint(i), "", time.Millisecond)
		m.ControlPlaneCall("us", fmt.Sprint(i), time.Millisecond)
	}
	page := scrape(t, m)
	for _, metric := range []string{"db_client_operation_duration_seconds", "osgate_identity_asking_duration_seconds"} {
		if got := strings.Count(page, "\n"+metric+"_count{"); got != histogramSets {
			t.Errorf("%d label sets of %s, want %d", got, metric, histogramSets)
		}
	}
}

func TestMetricsAllocateNothing(t *testing.T) {
	m := newMetrics(t, metrics.Options{})
	x := getKey()
	x.Rule, x.Shadow = "no-deletes", []string{"read-only"}
	m.Keep(x)
	if n := testing.AllocsPerRun(100, func() {
		m.Keep(x)
		m.RoundTrip("main", "rate", "", time.Millisecond)
		m.BudgetDecision(true, false, time.Millisecond)
	}); n > 0 {
		t.Errorf("%v allocations for an exchange", n)
	}
	if x.Method != http.MethodGet {
		t.Error("the exchange was changed")
	}
}
