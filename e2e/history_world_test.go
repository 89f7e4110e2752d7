package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"osgate/internal/redisconn/redistest"
)

// The durations of a history. A request on its way upstream is delayed for much less
// than a lease, as the protocol assumes.
const (
	historyTimeout = time.Second        // UPSTREAM_TIMEOUT
	historyLease   = 2 * historyTimeout // of a write, and of the settling of an epoch
)

// longFreshnessSettings are settings with which only coherence ends the life of an
// entry.
var longFreshnessSettings = []string{
	"RATE=0", "CACHE_KEY_TTL=1h", "CACHE_KEYS_TTL=1h", "CACHE_STORES_TTL=1h", "AUTH_TTL=1h", "UPSTREAM_TIMEOUT=" + historyTimeout.String(),
	"LOG_LEVEL=warn", "SECRET=" + strings.Repeat("A", 43),
}

// deployment is osemu, a Redis, and gateways that reach each of them through a proxy of
// their own. A cluster is reached directly, because its nodes announce their own
// addresses.
type deployment struct {
	t            *testing.T
	stack        *stack
	redis        *redistest.Server  // nil with a cluster
	cluster      *redistest.Cluster // nil without a cluster
	replicas     []*replica
	httpClient   *http.Client // of all clients; nil: the default HTTP client
	token        string       // of all clients; empty if httpClient identifies them
	foreignToken string       // the token of a client of another organization
	history      *history
	random       *rand.Rand // for faults; used by the test's own goroutine
	staleness    staleness
}

// setup is a program of osgate, the mutant to run if it is a program of mutants, and
// the flags of osemu.
type setup struct {
	program, mutant string
	flags           []string     // of osemu
	cluster         bool         // Redis is a cluster
	httpClient      *http.Client // identifies the clients; nil: their tokens do
}

// unmutated is osgate without a mutation, with these flags of osemu.
func unmutated(flags ...string) setup { return setup{program: programs.osgate, flags: flags} }

// replica is a gateway that can be killed and started again.
type replica struct {
	deployment      *deployment
	setup           setup
	settings        []string
	upstream, redis *tcpProxy
	running         atomic.Pointer[gateway]
	avoided         atomic.Bool // used by the clients
}

// newDeployment starts three gateways, and returns when each of them answers from its
// cache.
func newDeployment(t *testing.T, k setup, settings ...string) *deployment {
	t.Helper()
	w := &deployment{
		t: t, stack: newStack(t, false, append([]string{"-quiet"}, k.flags...)...), history: newHistory("history"), httpClient: k.httpClient,
	}
	if k.cluster {
		w.cluster = redistest.StartCluster(t, "--cluster-node-timeout", "60000") // none is lost
	} else {
		w.redis = redistest.Start(t, "--enable-protected-configs", "yes")
	}
	for i := range 3 {
		r := &replica{deployment: w, setup: k, upstream: newTCPProxy(t, fmt.Sprint("upstream of ", i), strings.TrimPrefix(w.stack.emulator.url, "http://"))}
		r.settings = append(append([]string{
			"UPSTREAM_OVERRIDE=http://" + r.upstream.proxy.Listen, "REDIS_URL=" + r.redisURL(i), "REDIS_TIMEOUT=" + longRedisTimeout,
		}, longFreshnessSettings...), settings...)
		w.replicas = append(w.replicas, r)
		r.start()
	}
	if k.httpClient == nil {
		w.token = w.replicas[0].running.Load().mint("app-one", "")
		w.foreignToken = w.replicas[0].running.Load().mint("app-other", "")
	}
	for _, r := range w.replicas {
		eventually(t, "the first hit", func() bool { return isHit(r.client().get(keyOne)) })
	}
	w.history = newHistory("history")
	return w
}

// redisURL returns the URL of Redis for replica i: its own proxy, or the cluster.
func (r *replica) redisURL(i int) string {
	w := r.deployment
	if w.cluster != nil {
		return w.cluster.URL()
	}
	r.redis = newTCPProxy(w.t, fmt.Sprint("redis of ", i), w.redis.Addr())
	return "redis://" + r.redis.proxy.Listen + "/0"
}

// isHit reports whether a response came from a cache.
func isHit(a *answer) bool { return strings.Contains(a.header.Get("Cache-Status"), "; hit") }

// start starts the gateway, on a port of its choice.
func (r *replica) start() {
	r.deployment.t.Helper()
	s := r.deployment.stack
	g := &gateway{stack: s}
	s.t.Cleanup(func() { s.checkNoSecretsWritten(g) })
	g.process = startProgram(s.t, r.setup.program, append(s.environment(r.settings...), mutantVariable+"="+r.setup.mutant))
	g.awaitReady()
	r.running.Store(g)
}

// kill ends the gateway as a crash would.
func (r *replica) kill() {
	r.deployment.t.Helper()
	r.running.Load().stop(syscall.SIGKILL)
}

// client returns a client of the gateway with the credential that all clients share.
func (r *replica) client() client {
	w := r.deployment
	return client{t: w.t, base: r.running.Load().url, token: w.token, httpClient: w.httpClient}
}

// tcpProxy is a TCP proxy that can delay and cut connections (toxiproxy). In each
// direction there is one fault at a time.
type tcpProxy struct {
	t     testing.TB
	proxy *toxiproxy.Proxy
}

// The directions of a proxy.
const (
	toServer = "upstream"   // requests
	toClient = "downstream" // answers
)

func newTCPProxy(t testing.TB, name, to string) *tcpProxy {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	var err error
	for range 100 { // another process may use the port
		w := &tcpProxy{t: t, proxy: toxiproxy.NewProxy(server, name, "127.0.0.1:"+proxyPort(), to)}
		if err = w.proxy.Start(); err == nil {
			t.Cleanup(w.proxy.Stop)
			return w
		}
	}
	t.Fatalf("starting the %s: %v", name, err)
	return nil
}

// proxyPorts counts the ports that proxies of this process have used. It begins at a
// random one.
var proxyPorts = func() *atomic.Uint32 {
	var n atomic.Uint32
	n.Store(rand.Uint32N(1 << 16))
	return &n
}()

// proxyPort returns a port that no proxy of this process has used lately, and that is
// not for a Redis or the bus of a cluster node. So a closed proxy can listen on its
// port again.
func proxyPort() string { return strconv.Itoa(9000 + int(proxyPorts.Add(1)%2000)) }

// delay delays all data in a direction.
func (w *tcpProxy) delay(direction string, d time.Duration) {
	w.t.Helper()
	w.addFault("latency", direction, "latency", d.Milliseconds())
}

// cut drops the data in a direction and ends its connection.
func (w *tcpProxy) cut(direction string) {
	w.t.Helper()
	w.addFault("timeout", direction, "timeout", 1)
}

// blackHole drops the data in a direction, and ends its connection when heal is called.
func (w *tcpProxy) blackHole(direction string) {
	w.t.Helper()
	w.addFault("timeout", direction, "timeout", 0)
}

// truncate ends each connection after so many bytes of a response.
func (w *tcpProxy) truncate(bytes int64) {
	w.t.Helper()
	w.addFault("limit_data", toClient, "bytes", bytes)
}

func (w *tcpProxy) addFault(kind, direction, attribute string, value int64) {
	w.t.Helper()
	w.addToxic(kind, direction, map[string]int64{attribute: value})
}

func (w *tcpProxy) addToxic(kind, direction string, attributes map[string]int64) {
	w.t.Helper()
	text, _ := json.Marshal(map[string]any{ // strings and numbers cannot fail to marshal
		"type": kind, "name": direction, "stream": direction, "attributes": attributes,
	})
	if _, err := w.proxy.Toxics.AddToxicJson(io.Reader(strings.NewReader(string(text)))); err != nil {
		w.t.Fatalf("adding a fault to the %s: %v", w.proxy.Name, err)
	}
}

// heal ends all faults.
func (w *tcpProxy) heal() { w.proxy.Toxics.ResetToxics(w.t.Context()) }
