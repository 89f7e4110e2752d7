package observe

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Paths of osemu's built-in world.
const (
	keys   = "/api/v1/organizations/org-root/environments/env-prod/stores/APP_demo__defaultPersistentObjectStore/partitions/DEFAULT_PARTITION/keys"
	keyOne = keys + "/KeyOne"
	mine   = `{"stringValue":"v","keyId":"Mine","valueType":"STRING"}` // body of a PUT
)

// rulesOfTheRun permit, deny, would deny in shadow mode, and cannot be evaluated.
const rulesOfTheRun = `@id("everyone")
permit (principal, action, resource);

@id("no-deletes")
@reason("Nothing is deleted")
forbid (principal, action in Action::"delete", resource);

@id("no-key-two")
@reason("KeyTwo is nobody's")
@mode("shadow")
forbid (principal, action, resource) when { resource.key == "KeyTwo" };

@id("overflows")
@reason("A sum that cannot be made")
forbid (principal, action, resource) when { resource.key == "Overflow" && context.valueBytes + 9223372036854775807 > 0 };
`

// run is a small fleet with many successes and every kind of failure: osemu, Redis, a
// gateway with Redis, one without it, and one whose clients have JWTs.
type run struct {
	t              testing.TB
	emulator       string
	redis          *redisServer
	shared, lonely *gateway
	brokered       brokered
	scrapes        []map[string][]byte // by instance, in order
	logged         string              // all log lines of the gateways
}

// gateway is a running osgate.
type gateway struct {
	*process
	t          testing.TB
	url, admin string
	sent       atomic.Int64 // requests that have been answered
}

// play runs the fleet through two rounds of the same traffic, and returns its metrics
// and logs.
func play(t testing.TB) *run {
	t.Helper()
	programs := buildPrograms(t)
	r := &run{t: t, redis: startRedis(t)}
	r.emulator = start(t, filepath.Join(programs, "osemu"), nil, "-listen", "127.0.0.1:0", "-rate", "0").url(t, 0)
	policy := filepath.Join(t.TempDir(), "policy.cedar")
	if err := os.WriteFile(policy, []byte(rulesOfTheRun), 0o600); err != nil {
		t.Fatal(err)
	}
	osgate := filepath.Join(programs, "osgate")
	r.shared = r.start(osgate, "OSGATE_REDIS_URL=redis://"+r.redis.address+"/0", "OSGATE_REDIS_TIMEOUT=1m", "OSGATE_POLICY="+policy,
		"OSGATE_SECRET=MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", "OSGATE_DEFAULT_REGION=us/us-east-1", "OSGATE_UPSTREAM_TIMEOUT=2s", "OSGATE_CACHE_STRICT=true",
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:9", "OTEL_METRIC_EXPORT_INTERVAL=200")
	r.lonely = r.start(osgate, "OSGATE_DISCOVER=true", "OSGATE_PLANES=us", "OSGATE_REGIONS=us/us-east-1,us/us-west-2", "OSGATE_BUDGET=20",
		"OSGATE_RATE_OVERRIDES=app-one=1000", "OSGATE_CACHE_KEY_TTL=0", "OSGATE_LOG_SAMPLE=refused=0.5")
	r.brokered = r.startBrokered(osgate, policy)
	for range 2 {
		r.round()
		r.scrape()
	}
	r.logged = r.shared.stderr.String() + r.lonely.stderr.String() + r.brokered.stderr.String()
	return r
}

// start starts a gateway in front of osemu.
func (r *run) start(osgate string, settings ...string) *gateway {
	r.t.Helper()
	g := &gateway{t: r.t}
	g.process = start(r.t, osgate, append([]string{
		"OSGATE_LISTEN=127.0.0.1:0", "OSGATE_ADMIN_LISTEN=127.0.0.1:0", "OSGATE_UPSTREAM_OVERRIDE=" + r.emulator, "OSGATE_RATE_MAX_WAIT=150ms",
	}, settings...))
	g.url, g.admin = g.process.url(r.t, 0), g.process.url(r.t, 1)
	g.awaitReadiness(`"ready"`)
	return g
}

func (g *gateway) awaitReadiness(status string) {
	g.t.Helper()
	eventually(g.t, "osgate to be "+status, func() bool {
		response, err := client.Get(g.admin + "/readyz")
		if err != nil {
			return false
		}
		defer func() { _ = response.Body.Close() }()
		text, _ := io.ReadAll(response.Body)
		return bytes.Contains(text, []byte(status))
	})
}

// round is the traffic before each scrape.
func (r *run) round() {
	one, two := r.shared.mint("app-one"), r.shared.mint("app-two")
	r.ordinary(one)
	r.shared.burst(two, 60, keys) // more than a quota of ten with a burst of ten
	r.withoutRedis(one)
	r.failures(one)
	r.heldPastTheCache(one)
	lonely := r.lonely.mint("app-one")
	r.lonely.ask(http.MethodGet, keyOne, lonely, "") // the store is in both regions: 400
	for range 2 {                                    // the second is a hit; the other gateway's cache has not settled yet
		r.lonely.ask(http.MethodGet, "/us/us-east-1"+keys, lonely, "")
	}
	r.lonely.burst(lonely, 300, "/us/us-east-1"+keyOne) // more than a budget of twenty, on a slow machine too
	r.brokered.round()
}

// ordinary sends reads and writes, and requests that are refused.
func (r *run) ordinary(token string) {
	for range 2 {
		r.shared.ask(http.MethodGet, keyOne, token, "")
	}
	r.shared.ask(http.MethodGet, keys+"/KeyTwo", token, "")
	r.shared.ask(http.MethodGet, keys+"/NoSuchKey", token, "")
	r.shared.ask(http.MethodPut, keys+"/Mine", token, mine)
	r.shared.ask(http.MethodPut, keys+"/Overflow", token, `{"stringValue":"v","keyId":"Overflow","valueType":"STRING"}`)
	r.shared.ask(http.MethodDelete, keys+"/Mine", token, "")
	r.shared.ask(http.MethodGet, keyOne, "", "")
	r.shared.ask(http.MethodGet, "/no/such/path", token, "")
	for range 2 { // more failures than an address may have
		r.lonely.burst("guessed", 30, "/us/us-east-1"+keyOne)
	}
}

// failures sends requests that Object Store and its control plane fail.
func (r *run) failures(token string) {
	for _, fault := range []string{`{"reset":1}`, `{"500":1}`, `{"429":1}`} {
		r.fault(fault)
		r.shared.ask(http.MethodPut, keys+"/Mine", token, mine)
		r.shared.ask(http.MethodGet, keyOne, "unknown-"+fault[2:5], "")
	}
	r.fault(`{}`)
	eventually(r.t, "the control plane to be asked again", func() bool {
		return bytes.Contains(r.shared.ask(http.MethodGet, keyOne, "unknown", ""), []byte("bad-token"))
	})
}

// heldPastTheCache reads a list while the lease of a write with unknown outcome makes
// reads bypass the cache. It waits until the cache has settled after the restart of
// Redis.
func (r *run) heldPastTheCache(token string) {
	eventually(r.t, "a read to go past the cache because of a write", func() bool {
		r.fault(`{"500":1}`)
		r.shared.ask(http.MethodPut, keys+"/Mine", token, mine)
		r.fault(`{}`)
		r.shared.ask(http.MethodGet, keys, token, "")
		return bytes.Contains(r.shared.metrics(), []byte(`osgate_cache_reason="write-in-flight"`))
	})
}

func (r *run) fault(setting string) {
	r.t.Helper()
	request, _ := http.NewRequest(http.MethodPut, r.emulator+"/_osemu/faults", strings.NewReader(setting)) // the address is well formed
	response, err := client.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode >= http.StatusMultipleChoices {
		r.t.Fatalf("setting the fault %s: %s", setting, response.Status)
	}
}

// withoutRedis reads and writes while Redis is stopped.
func (r *run) withoutRedis(token string) {
	r.redis.kill()
	r.shared.awaitReadiness(`"redis"`)
	r.shared.ask(http.MethodGet, keyOne, token, "")
	r.shared.ask(http.MethodPut, keys+"/Mine", token, mine) // cannot be marked: 503
	r.redis.restart(r.t)
	r.shared.awaitReadiness(`"ready"`)
}

// mint gets a token for a connected app.
func (g *gateway) mint(app string) string {
	g.t.Helper()
	form := "client_id=" + app + "&client_secret=secret-" + strings.TrimPrefix(app, "app-") + "&grant_type=client_credentials"
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(g.ask(http.MethodPost, "/us/accounts/oauth2/token", "", form), &answer); err != nil || answer.Token == "" {
		g.t.Fatalf("no token for %s: %v", app, err)
	}
	return answer.Token
}

// burst sends the same request many times at once.
func (g *gateway) burst(token string, times int, path string) {
	var all sync.WaitGroup
	for range times {
		all.Go(func() { g.ask(http.MethodGet, path, token, "") })
	}
	all.Wait()
}

// ask sends a request and returns the body of the answer, whatever its status. It is
// safe for concurrent use.
func (g *gateway) ask(method, path, token, body string) []byte {
	request, _ := http.NewRequest(method, g.url+path, strings.NewReader(body)) // the address is well formed
	request.Header.Set("Content-Type", "application/json")
	if strings.HasPrefix(body, "client_id") {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client.Do(request)
	if err != nil {
		g.t.Errorf("%s %s: %v", method, path, err)
		return nil
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		g.t.Errorf("%s %s: %v", method, path, err)
	}
	g.sent.Add(1)
	return text
}

// scrape stores the metrics of all gateways, once they have counted all requests that
// they answered.
func (r *run) scrape() {
	r.t.Helper()
	r.scrapes = append(r.scrapes, map[string][]byte{
		"shared:8081": r.shared.metrics(), "lonely:8081": r.lonely.metrics(), "brokered:8081": r.brokered.metrics(),
	})
}

// metrics returns the text of /metrics.
func (g *gateway) metrics() (text []byte) {
	g.t.Helper()
	eventually(g.t, "all exchanges to be counted", func() bool {
		response, err := client.Get(g.admin + "/metrics")
		if err != nil {
			g.t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		if text, err = io.ReadAll(response.Body); err != nil {
			g.t.Fatal(err)
		}
		return exchangesIn(g.t, text) == g.sent.Load()
	})
	return text
}
