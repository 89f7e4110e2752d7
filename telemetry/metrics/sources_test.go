package metrics_test

import (
	"strings"
	"testing"
	"time"

	"osgate/record"
	"osgate/telemetry/metrics"
)

// allSources returns sources with one value of each.
func allSources() metrics.Sources {
	return metrics.Sources{
		Identities: func(report func(string, int64)) { report("known", 7) },
		Regions: func(report func(string, string, string)) {
			report("us", "us-east-1", "closed")
			report("eu", "eu-west-1", "open")
		},
		Planes: func(report func(string, string)) {
			report("us", "closed")
			report("eu", "open")
			report("ca", "half-open")
		},
		Redis: func(report func(string, metrics.Redis)) {
			report("main", metrics.Redis{
				Breaker: "half-open", Open: 10, Idle: 4, TimedOut: 3, Skipped: 2, Reused: 100, Dialed: 11, Stale: 1,
			})
		},
		Statistics: func() metrics.Statistics {
			return metrics.Statistics{
				Lag: 1500 * time.Millisecond, Series: 12, Waiting: 5, Coarsened: 2, Dropped: 1, Lost: 7,
			}
		},
		Searches:   func(report func(string, int64)) { report("found", 3) },
		Pauses:     func(report func(string, int64)) { report("paused", 4) },
		Calls:      func(report func(string, int64)) { report("passed", 8) },
		AdminTries: func(report func(string, int64)) { report("wrong_token", 5); report("too_many", 95) },
		Policy: func() metrics.Policy {
			return metrics.Policy{Rules: 20, Shadow: 2, Loaded: time.Unix(1_700_000_000, 500e6), Stale: true}
		},
		Slots: func() metrics.Slots {
			return metrics.Slots{
				Identified: 1, Unidentified: 2, Refused: 3, Limit: 100, UnidentifiedLimit: 75, RefusedLimit: 16,
				ShortOfAll: 4, ShortOfUnidentified: 5, ShortOfAddress: 6, ShortOfRefused: 7,
			}
		},
		LogLost:  func() int64 { return 9 },
		Refusals: func(report func(string, string, int64)) { report("jwt", "expired", 9) },
		Brokering: func(report func(string, string, bool)) {
			report("credential", "us", true)
			report("issuer", "https://login.example.com", false)
		},
		Connections: func(report func(string, metrics.Connections)) {
			report("clients", metrics.Connections{
				Limit: 100, Idle: 60, Active: 30, Events: map[string]int64{"refused": 8},
			})
		},
	}
}

func has(t *testing.T, page string, lines ...string) {
	t.Helper()
	for _, want := range lines {
		if !strings.Contains(page, "\n"+want+"\n") {
			t.Errorf("no series\n%s\nin\n%s", want, strings.Join(series(page), "\n"))
		}
	}
}

func TestSourcesAreShown(t *testing.T) {
	has(t, scrape(t, newMetrics(t, metrics.Options{Version: "v1", Sources: allSources()})),
		`osgate_identity_results_total{osgate_identity_result="known"} 7`,
		`osgate_upstream_breaker{osv2_plane="us",osv2_region="us-east-1"} 0`, `osgate_upstream_breaker{osv2_plane="eu",osv2_region="eu-west-1"} 2`,
		`osgate_identity_breaker{osv2_plane="us"} 0`, `osgate_identity_breaker{osv2_plane="eu"} 2`, `osgate_identity_breaker{osv2_plane="ca"} 1`,
		`osgate_brokering_refusals_total{osgate_brokering_method="jwt",osgate_brokering_reason="expired"} 9`,
		`osgate_brokering_faults{osgate_brokering_name="us",osgate_brokering_part="credential"} 1`,
		`osgate_brokering_faults{osgate_brokering_name="https://login.example.com",osgate_brokering_part="issuer"} 0`,
		`osgate_redis_breaker{osgate_redis_connection="main"} 1`, `osgate_redis_skipped_total{osgate_redis_connection="main"} 2`,
		`db_client_connection_count{db_client_connection_pool_name="main",db_client_connection_state="idle"} 4`,
		`db_client_connection_count{db_client_connection_pool_name="main",db_client_connection_state="used"} 6`,
		`db_client_connection_timeouts_total{db_client_connection_pool_name="main"} 3`,
		`osgate_redis_pool_events_total{osgate_redis_connection="main",osgate_redis_pool_event="reused"} 100`,
		`osgate_redis_pool_events_total{osgate_redis_connection="main",osgate_redis_pool_event="dialed"} 11`,
		`osgate_redis_pool_events_total{osgate_redis_connection="main",osgate_redis_pool_event="stale"} 1`,
		`osgate_stats_lag_seconds 1.5`, `osgate_stats_series 12`, `osgate_stats_waiting 5`,
		`osgate_stats_losses_total{osgate_stats_loss="coarsened"} 2`, `osgate_stats_losses_total{osgate_stats_loss="dropped"} 1`,
		`osgate_stats_losses_total{osgate_stats_loss="file"} 7`,
		`osgate_discovery_searches_total{osgate_discovery_result="found"} 3`,
		`osgate_upstream_pauses_total{osgate_upstream_pause_event="paused"} 4`,
		`osgate_policy_rules 20`, `osgate_policy_shadow_rules 2`, `osgate_policy_loaded_timestamp_seconds 1.7000000005e+09`, `osgate_policy_stale 1`,
		`osgate_log_lost_total 9`,
		`osgate_accounts_calls_total{osgate_accounts_decision="passed"} 8`,
		`osgate_admin_refusals_total{osgate_admin_refusal="wrong_token"} 5`, `osgate_admin_refusals_total{osgate_admin_refusal="too_many"} 95`,
		`osgate_connections{osgate_connection_state="idle",osgate_listener="clients"} 60`,
		`osgate_connections{osgate_connection_state="active",osgate_listener="clients"} 30`,
		`osgate_connections_limit{osgate_listener="clients"} 100`,
		`osgate_connections_events_total{osgate_connection_event="refused",osgate_listener="clients"} 8`,
		`osgate_slots{osgate_slot_class="identified"} 1`, `osgate_slots{osgate_slot_class="unidentified"} 2`, `osgate_slots{osgate_slot_class="refused"} 3`,
		`osgate_slots_limit{osgate_slot_class="all"} 100`, `osgate_slots_limit{osgate_slot_class="unidentified"} 75`,
		`osgate_slots_limit{osgate_slot_class="refused"} 16`,
		`osgate_slots_shed_total{osgate_slot_shortage="all"} 4`, `osgate_slots_shed_total{osgate_slot_shortage="unidentified"} 5`,
		`osgate_slots_shed_total{osgate_slot_shortage="address"} 6`, `osgate_slots_shed_total{osgate_slot_shortage="refused"} 7`,
	)
}

func TestSourcesWithoutAFunctionAreNotShown(t *testing.T) {
	page := scrape(t, newMetrics(t, metrics.Options{}))
	for _, name := range []string{"osgate_identity", "osgate_brokering", "osgate_redis", "db_client", "osgate_stats", "osgate_discovery", "osgate_upstream_breaker", "osgate_upstream_pauses", "osgate_policy", "osgate_log", "osgate_admin", "osgate_accounts", "osgate_connections", "osgate_slots"} {
		if strings.Contains(page, name) {
			t.Errorf("%s is shown without a source", name)
		}
	}
}

func TestBuildIsAMetric(t *testing.T) {
	page := scrape(t, newMetrics(t, metrics.Options{Version: "v1.2"}))
	if !strings.Contains(page, "\nosgate_build_info{process_runtime_version=\"go") || !strings.Contains(page, `service_version="v1.2"`) {
		t.Errorf("no build in %v", series(page))
	}
}

func TestRoundTripsLookupsAndBudgetAreTimed(t *testing.T) {
	m := newMetrics(t, metrics.Options{})
	m.RoundTrip("main", "rate", "", 300*time.Microsecond)
	m.RoundTrip("bodies", "body", "timeout", 50*time.Millisecond)
	m.ControlPlaneCall("us", "named", 20*time.Millisecond)
	m.BudgetDecision(true, false, 0)
	m.BudgetDecision(true, true, 100*time.Millisecond)
	m.BudgetDecision(false, false, time.Second)
	has(t, scrape(t, m),
		`db_client_operation_duration_seconds_bucket{db_system_name="redis",osgate_redis_connection="main",osgate_redis_kind="rate",le="0.00025"} 0`,
		`db_client_operation_duration_seconds_bucket{db_system_name="redis",osgate_redis_connection="main",osgate_redis_kind="rate",le="0.0005"} 1`,
		`db_client_operation_duration_seconds_sum{db_system_name="redis",error_type="timeout",osgate_redis_connection="bodies",osgate_redis_kind="body"} 0.05`,
		`osgate_identity_asking_duration_seconds_sum{osgate_identity_answer="named",osv2_plane="us"} 0.02`,
		`osgate_budget_decisions_total{osgate_budget_decision="admitted",osgate_budget_degraded="false"} 1`,
		`osgate_budget_decisions_total{osgate_budget_decision="waited",osgate_budget_degraded="true"} 1`,
		`osgate_budget_decisions_total{osgate_budget_decision="refused",osgate_budget_degraded="false"} 1`,
		`osgate_budget_wait_seconds_count 2`,
	)
}

func TestPolicyIsCountedByRuleAndDecision(t *testing.T) {
	m := newMetrics(t, metrics.Options{})
	for _, x := range []*record.Exchange{
		{Status: 200, Rule: "team-a"},
		{Status: 403, Code: "denied", Rule: "no-deletes", Shadow: []string{"read-only"}},
		{Status: 429, Code: "over-quota", Rule: "team-a", Charged: true}, // permitted before
		{Status: 413, Code: "too-large", Rule: "ceiling", Denied: true},
		{Status: 200, PolicyErrors: []string{"hours"}},
		{Status: 403, Code: "denied"}, // statistics of another organization
		{Status: 200},                 // no policy
	} {
		m.Keep(x)
	}
	page := scrape(t, m)
	has(t, page,
		`osgate_policy_decisions_total{osgate_policy_decision="allow",osgate_policy_rule="team-a"} 2`,
		`osgate_policy_decisions_total{osgate_policy_decision="deny",osgate_policy_rule="no-deletes"} 1`,
		`osgate_policy_decisions_total{osgate_policy_decision="deny",osgate_policy_rule="ceiling"} 1`,
		`osgate_policy_decisions_total{osgate_policy_decision="shadow",osgate_policy_rule="read-only"} 1`,
		`osgate_policy_decisions_total{osgate_policy_decision="error",osgate_policy_rule="hours"} 1`,
		`osgate_policy_decisions_total{osgate_policy_decision="deny"} 1`,
	)
	if got := strings.Count(page, "\nosgate_policy_decisions_total"); got != 6 {
		t.Errorf("%d series of decisions, want 5", got)
	}
}
