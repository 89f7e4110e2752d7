package gateway

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"osgate/admin"
	"osgate/internal/redisconn"
	"osgate/internal/redisconn/redistest"
)

// TestReadinessAndLogDescribeQuotasWithoutRedis stops Redis under each value of
// OSGATE_RATE_REDIS_DOWN, and starts it again.
func TestReadinessAndLogDescribeQuotasWithoutRedis(t *testing.T) {
	for mode, want := range map[string]struct {
		status admin.Status
		served int
		says   string
	}{
		"local":  {admin.Degraded, http.StatusOK, "counted in this process"},
		"open":   {admin.Degraded, http.StatusOK, "not counted, every request passes (OSGATE_RATE_REDIS_DOWN=open)"},
		"closed": {admin.Unready, http.StatusServiceUnavailable, "not counted, requests that cost quota are refused with 503 overloaded (OSGATE_RATE_REDIS_DOWN=closed)"},
	} {
		t.Run(mode, func(t *testing.T) {
			s := upstream(t, func(*http.Request) {})
			redis := redistest.Start(t)
			g := start(t, configured(t, "OSGATE_UPSTREAM_OVERRIDE="+s.URL, "OSGATE_REDIS_URL="+redis.URL(), "OSGATE_RATE_REDIS_DOWN="+mode))
			becomes(t, g, admin.Ready)
			client := http.DefaultClient
			base := g.ClientsURL()
			token := mint(t, client, base)
			redis.Stop()
			r := await(t, g, func(r admin.Readiness) bool { // statistics may be degraded before Redis counts as down
				return r.Status == want.status && len(r.Reasons) > 0 && r.Reasons[0].Part == "redis"
			})
			if !strings.Contains(r.Reasons[0].Detail, want.says) {
				t.Errorf("reasons %+v, want that %s", r.Reasons, want.says)
			}
			if status, body := get(t, client, base+key, token); status != want.served || strings.Contains(body, "overloaded") != (mode == "closed") {
				t.Errorf("a read is answered %d %s, want %d, overloaded where nothing is let through", status, body, want.served)
			}
			if line := g.log.String(); !strings.Contains(line, `"redis is unavailable","quotas":"`+want.says+`"`) {
				t.Errorf("the log does not say that %s: %s", want.says, line)
			}
			redis.Restart()
			becomes(t, g, admin.Ready)
		})
	}
}

// becomes waits until readiness has this status, and returns it.
func becomes(t *testing.T, g *started, status admin.Status) admin.Readiness {
	t.Helper()
	return await(t, g, func(r admin.Readiness) bool { return r.Status == status })
}

// await waits until readiness is as wanted, a minute at most, and returns it.
func await(t *testing.T, g *started, wanted func(admin.Readiness) bool) admin.Readiness {
	t.Helper()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); <-look.C {
		if r := g.readiness(); wanted(r) {
			return r
		}
	}
	t.Fatalf("readiness is still %+v", g.readiness())
	return admin.Readiness{}
}

func TestAGatewayIsUnreadyOnlyWhereItRefusesEverybody(t *testing.T) {
	down, up := redisconn.State{}, redisconn.State{OK: true}
	for name, tt := range map[string]struct {
		variables []string
		state     redisconn.State
		want      bool
	}{
		"closed, redis gone":                  {[]string{"OSGATE_RATE_REDIS_DOWN=closed"}, down, true},
		"closed, redis there":                 {[]string{"OSGATE_RATE_REDIS_DOWN=closed"}, up, false},
		"closed, scripts not permitted":       {[]string{"OSGATE_RATE_REDIS_DOWN=closed"}, redisconn.State{OK: true, Denied: "del, evalsha"}, true},
		"closed, something else":              {[]string{"OSGATE_RATE_REDIS_DOWN=closed"}, redisconn.State{OK: true, Denied: "hgetall, smembers"}, false},
		"closed, nobody has a quota":          {[]string{"OSGATE_RATE_REDIS_DOWN=closed", "OSGATE_RATE=0"}, down, false},
		"closed, single clients have a quota": {[]string{"OSGATE_RATE_REDIS_DOWN=closed", "OSGATE_RATE=0", "OSGATE_RATE_OVERRIDES=a=1"}, down, false},
		"closed, a budget alone":              {[]string{"OSGATE_RATE_REDIS_DOWN=closed", "OSGATE_RATE=0", "OSGATE_BUDGET=5"}, down, true},
		"open":                                {[]string{"OSGATE_RATE_REDIS_DOWN=open"}, down, false},
		"local":                               {nil, down, false},
	} {
		if got := unserving(configured(t, tt.variables...), tt.state); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}
