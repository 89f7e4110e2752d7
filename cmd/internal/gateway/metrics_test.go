package gateway

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// scraped returns the metrics of g.
func scraped(t *testing.T, g *started) string {
	t.Helper()
	answer, err := http.Get(g.AdminURL() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("/metrics answers %d, %v", answer.StatusCode, err)
	}
	return string(text)
}

// reads gets a key n times, with a token minted through g.
func reads(t *testing.T, g *started, n int) {
	t.Helper()
	client := &http.Client{}
	defer client.CloseIdleConnections()
	token := mint(t, client, g.ClientsURL())
	for range n {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.ClientsURL()+key, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Fatalf("answered %d", answer.StatusCode)
		}
	}
}

// wantSeries waits until each pattern matches a series of g, because an exchange is
// counted after its answer.
func wantSeries(t *testing.T, g *started, patterns ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		page, missing := scraped(t, g), []string{}
		for _, pattern := range patterns {
			if !regexp.MustCompile(`(?m)^` + pattern + `$`).MatchString(page) {
				missing = append(missing, pattern)
			}
		}
		if len(missing) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("no series\n%s\nin\n%s", strings.Join(missing, "\n"), page)
		}
	}
}

func TestPartsFeedTheMetrics(t *testing.T) {
	s := upstream(t, func(*http.Request) {})
	g := start(t, configured(t, "OSGATE_UPSTREAM_OVERRIDE="+s.URL, "OSGATE_BUDGET=1000", "OSGATE_DISCOVER=true", "OSGATE_PLANES=us"))
	reads(t, g, 3)
	wantSeries(t, g,
		`osgate_identity_results_total\{osgate_identity_result="(known|asked)"\} [1-3]`,
		`osgate_identity_results_total\{osgate_identity_result="refused"\} 0`,
		`osgate_identity_asking_duration_seconds_count\{osgate_identity_answer="named",osv2_plane="us"\} 1`,
		`osgate_identity_breaker\{osv2_plane="us"\} 0`,
		`osgate_budget_decisions_total\{osgate_budget_decision="admitted",osgate_budget_degraded="false"\} [1-9]\d*`,
		`osgate_discovery_searches_total\{osgate_discovery_result="ambiguous"\} [01]`,
		`osgate_upstream_pauses_total\{osgate_upstream_pause_event="paused"\} 0`,
		`osgate_stats_lag_seconds [0-9.e-]+`, `osgate_stats_series [1-9]`,
		`osgate_build_info\{.*service_version="test".*\} 1`,
	)
}

// TestBrokeringFeedsTheMetrics of a gateway whose issuer is unreachable, and that has
// refused a token.
func TestBrokeringFeedsTheMetrics(t *testing.T) {
	s := upstream(t, func(*http.Request) {})
	rules := filepath.Join(t.TempDir(), "rules.cedar")
	if err := os.WriteFile(rules, []byte("permit (principal, action, resource);"), 0o600); err != nil {
		t.Fatal(err)
	}
	g := start(t, configured(t, "OSGATE_UPSTREAM_OVERRIDE="+s.URL, "OSGATE_AUTH=jwt", "OSGATE_AUTH_ISSUERS=http://127.0.0.1:1",
		"OSGATE_AUTH_AUDIENCE=osgate", "OSGATE_POLICY="+rules, "OSGATE_UPSTREAM_CLIENT_ID=own", "OSGATE_UPSTREAM_CLIENT_SECRET=secret"))
	if status, body := get(t, http.DefaultClient, g.ClientsURL()+key, "no-jwt"); status != http.StatusUnauthorized {
		t.Fatalf("an opaque token: %d %s", status, body)
	}
	wantSeries(t, g,
		`osgate_brokering_faults\{osgate_brokering_name="http://127.0.0.1:1",osgate_brokering_part="issuer"\} [01]`,
		`osgate_brokering_refusals_total\{osgate_brokering_method="none",osgate_brokering_reason="unrecognized"\} 1`,
	)
}

// TestRedisFeedsTheMetrics needs no Redis to check that failures of Redis are visible.
func TestRedisFeedsTheMetrics(t *testing.T) {
	s := upstream(t, func(*http.Request) {})
	g := start(t, configured(t, "OSGATE_UPSTREAM_OVERRIDE="+s.URL, "OSGATE_REDIS_URL=redis://127.0.0.1:1",
		"OSGATE_SECRET=MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="))
	reads(t, g, 5)
	wantSeries(t, g,
		`osgate_redis_up 0`,
		`osgate_redis_breaker\{osgate_redis_connection="main"\} [12]`,
		`osgate_redis_breaker\{osgate_redis_connection="bodies"\} [012]`,
		`osgate_redis_skipped_total\{osgate_redis_connection="main"\} [1-9]\d*`,
		`db_client_operation_duration_seconds_count\{db_system_name="redis",error_type="connection",osgate_redis_connection="main",osgate_redis_kind="(rate|identity|epoch|probe|stats)"\} [1-9]\d*`,
		`db_client_connection_count\{db_client_connection_pool_name="main",db_client_connection_state="used"\} \d+`,
		`osgate_quota_decisions_total\{osgate_quota_decision="admitted",osgate_quota_degraded="true"\} [1-9]`,
	)
}

func TestLogIsSampledAsConfigured(t *testing.T) {
	s := upstream(t, func(*http.Request) {})
	g := start(t, configured(t, "OSGATE_UPSTREAM_OVERRIDE="+s.URL, "OSGATE_RATE=0", "OSGATE_LOG_SAMPLE=hit=0.1"))
	reads(t, g, 100)
	if err := g.stop(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(g.log.String(), `"sample":10`); n < 7 || n > 12 {
		t.Errorf("%d lines of about 98 hits", n)
	}
}
