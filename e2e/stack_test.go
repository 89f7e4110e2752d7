package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// longRedisTimeout is the REDIS_TIMEOUT of tests in which Redis does not fail: long
// enough for a busy machine.
const longRedisTimeout = "1m"

// stack is the environment of one test: osemu, a Redis unless the gateways use embedded
// stores, and the gateways in front of them.
type stack struct {
	t        testing.TB
	emulator *emulator
	redis    *redis // nil: embedded stores

	mu      sync.Mutex
	secrets []string // guarded by mu: texts that no gateway may write
}

// newStack starts osemu with these flags, without a rate limit unless the flags set
// one, and a Redis if withRedis is true.
func newStack(t testing.TB, withRedis bool, flags ...string) *stack {
	t.Helper()
	s := &stack{t: t, emulator: startEmulator(t, append([]string{"-rate", "0"}, flags...)...)}
	s.secrets = []string{redisPassword, "secret-one", "secret-two", "secret-read", "secret-sub", "secret-other", "admin-password"}
	if withRedis {
		s.redis = startRedis(t)
	}
	return s
}

// withAndWithoutRedis runs a test twice, with embedded stores and with Redis. The flags
// are for osemu.
func withAndWithoutRedis(t *testing.T, test func(t *testing.T, s *stack), flags ...string) {
	t.Helper()
	for name, withRedis := range map[string]bool{"embedded": false, "redis": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newStack(t, withRedis, flags...))
		})
	}
}

// addSecret adds a text that no gateway of the stack may write.
func (s *stack) addSecret(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets = append(s.secrets, secret)
}

// allSecrets returns the texts that no gateway of the stack may write.
func (s *stack) allSecrets() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.secrets)
}

// environment returns the environment variables of a gateway of this stack. A setting,
// such as "RATE=0", is added or replaces the default of the stack.
func (s *stack) environment(settings ...string) []string {
	byName := map[string]string{
		"OSGATE_LISTEN": "127.0.0.1:0", "OSGATE_ADMIN_LISTEN": "127.0.0.1:0", "OSGATE_DRAIN_DELAY": "0s",
		"OSGATE_UPSTREAM_OVERRIDE": s.emulator.url, "OSGATE_DEFAULT_REGION": "us/us-east-1",
	}
	if s.redis != nil {
		byName["OSGATE_REDIS_URL"] = s.redis.url()
		byName["OSGATE_REDIS_TIMEOUT"] = longRedisTimeout
	}
	for _, setting := range settings {
		name, value, _ := strings.Cut(setting, "=")
		if !strings.HasPrefix(name, "OTEL_") {
			name = "OSGATE_" + name
		}
		byName[name] = value
		if value == "" {
			delete(byName, name)
		}
	}
	var list []string
	for name, value := range byName {
		list = append(list, name+"="+value)
	}
	return list
}

// gateway starts osgate with the settings added to those of the stack. A setting
// without a value ("DEFAULT_REGION=") has the default of osgate.
func (s *stack) gateway(settings ...string) *gateway {
	s.t.Helper()
	return s.gatewayOf(programs.osgate, settings...)
}

// gatewayOf is gateway for another osgate.
func (s *stack) gatewayOf(program string, settings ...string) *gateway {
	s.t.Helper()
	g := &gateway{stack: s}
	s.t.Cleanup(func() { s.checkNoSecretsWritten(g) }) // runs after the process was killed and its output is complete
	g.process = startProgram(s.t, program, s.environment(settings...))
	g.awaitReady()
	return g
}

// awaitReady waits until the gateway has printed its addresses and is ready.
func (g *gateway) awaitReady() {
	g.t.Helper()
	g.url, g.admin = g.listenerURL(0, "clients"), g.listenerURL(1, "admin")
	admin := client{t: g.t, base: g.admin}
	eventually(g.t, "osgate to be ready", func() bool { return admin.get("/readyz").status == http.StatusOK })
}

// checkNoSecretsWritten fails the test if the gateway wrote a text of hidden.
func (s *stack) checkNoSecretsWritten(g *gateway) {
	s.t.Helper()
	if g.process == nil {
		return
	}
	text := g.stdout.String() + g.stderr.String()
	for _, secret := range s.allSecrets() {
		if strings.Contains(text, secret) {
			s.t.Errorf("osgate wrote a secret, %q, to its output", secret)
		}
	}
}

// gateway is a running osgate.
type gateway struct {
	*process
	stack      *stack
	url, admin string // base URLs of the two listeners, without a trailing slash
}

// listenerURL returns the URL in the n-th line of standard output, such as "clients
// http://127.0.0.1:8080".
func (g *gateway) listenerURL(n int, listener string) string {
	g.t.Helper()
	line := g.stdoutLine(n)
	url, ok := strings.CutPrefix(line, listener+" ")
	if !ok || !strings.HasPrefix(url, "http") {
		g.t.Fatalf("osgate printed %q as line %d, want %q", line, n+1, listener+" http://…")
	}
	return url
}

// addr returns the host:port of the clients' listener.
func (g *gateway) addr() string { return g.url[strings.Index(g.url, "://")+len("://"):] }

// accessLines returns the lines of the access log that have this status.
func (g *gateway) accessLines(status int) []map[string]any {
	var lines []map[string]any
	for line := range strings.Lines(g.stderr.String()) {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) == nil && fields["status"] == float64(status) {
			lines = append(lines, fields)
		}
	}
	return lines
}

// emulator is a running osemu.
type emulator struct {
	*process
	url string
}

// receivedRequest is one request that osemu received.
type receivedRequest struct {
	Time                         time.Time
	Host, Method, Target, Client string
	Status                       int
	Headers                      []string
	Traceparent                  string
}

// awaitRequest waits until osemu has received a request that matches condition. If
// osemu has a latency, it has not answered by then.
func (e *emulator) awaitRequest(condition func(receivedRequest) bool) {
	e.t.Helper()
	eventually(e.t, "the request to reach osemu", func() bool { return len(e.requests(condition)) > 0 })
}

// hasHeader reports whether the request had a header of this name.
func (r receivedRequest) hasHeader(name string) bool {
	return slices.ContainsFunc(r.Headers, func(h string) bool { return strings.EqualFold(h, name) })
}

// kill ends osemu as a crash would. Its port refuses connections until the test ends.
func (e *emulator) kill() {
	e.t.Helper()
	e.stop(syscall.SIGKILL)
	holdPort(e.t, e.url)
}

func startEmulator(t testing.TB, flags ...string) *emulator {
	t.Helper()
	e := &emulator{process: startProgram(t, programs.osemu, nil, append([]string{"-listen", "127.0.0.1:0"}, flags...)...)}
	line := e.stdoutLine(0)
	if e.url = line[max(0, strings.Index(line, "http://")):]; !strings.HasPrefix(e.url, "http://") {
		t.Fatalf("osemu printed %q as its first line, want its address", line)
	}
	e.url = strings.TrimRight(e.url, "/ ")
	return e
}

// requests returns the requests that osemu received and that match all conditions, in
// order.
func (e *emulator) requests(conditions ...func(receivedRequest) bool) []receivedRequest {
	e.t.Helper()
	var all []receivedRequest
	a := client{t: e.t, base: e.url}.get("/_osemu/requests")
	a.is(http.StatusOK)
	a.decode(&all)
	return slices.DeleteFunc(all, func(r receivedRequest) bool {
		return slices.ContainsFunc(conditions, func(holds func(receivedRequest) bool) bool { return !holds(r) })
	})
}

// isObjectStoreRequest matches requests to the Object Store API, which are limited,
// cached and counted.
func isObjectStoreRequest(r receivedRequest) bool { return strings.HasPrefix(r.Target, "/api/v1/") }

// isNoIdentityRequest matches all requests except lookups, which the gateway sends by
// itself as soon as a token is minted.
func isNoIdentityRequest(r receivedRequest) bool { return r.Target != "/accounts/api/me" }

// isNoTTLRequest matches all requests except the gateway's own requests for the TTL of
// the demo store.
func isNoTTLRequest(r receivedRequest) bool { return r.Target != demoStore }

// hasTarget matches requests with exactly this method and target.
func hasTarget(method, target string) func(receivedRequest) bool {
	return func(r receivedRequest) bool { return r.Method == method && r.Target == target }
}

// clearRequests empties osemu's request log.
func (e *emulator) clearRequests() { e.t.Helper(); e.backDoor(http.MethodDelete, "requests", "") }

// setFault sets the latency ("2s") and one fault ("reset=1") of osemu, and ends those
// before. Empty texts mean none.
func (e *emulator) setFault(latency, fault string) {
	e.t.Helper()
	setting := map[string]any{}
	if latency != "" {
		setting["latency"] = latency
	}
	if name, probability, ok := strings.Cut(fault, "="); ok {
		setting[name] = json.Number(probability)
	}
	body, _ := json.Marshal(setting) // strings and numbers cannot fail to marshal
	e.backDoor(http.MethodPut, "faults", string(body))
}

// setScopes replaces the scopes of a client.
func (e *emulator) setScopes(client string, scopes ...string) {
	e.t.Helper()
	body, _ := json.Marshal(map[string]any{"scopes": scopes}) // strings cannot fail to marshal
	e.backDoor(http.MethodPatch, "clients/"+client, string(body))
}

func (e *emulator) backDoor(method, path, body string) {
	e.t.Helper()
	if a := (client{t: e.t, base: e.url}).send(method, "/_osemu/"+path, body); a.status >= 300 {
		e.t.Fatalf("osemu's back door: %s %s: %d %s", method, path, a.status, a.body)
	}
}

// redis is a running redis-server that does not write to disk.
type redis struct {
	t    testing.TB
	port string
	*process
}

func startRedis(t testing.TB) *redis {
	t.Helper()
	requireProgram(t, "redis-server")
	for range 5 { // another process may take the free port before it is bound
		r := &redis{t: t, port: freePort(t)}
		if r.launch() {
			t.Cleanup(r.checkNoRefusedCommands) // while it runs
			return r
		}
	}
	t.Fatal("redis-server does not start on a free port")
	return nil
}

// launch starts the server on its port, and reports whether it came up.
func (r *redis) launch() bool {
	r.t.Helper()
	arguments := []string{"--bind", "127.0.0.1", "--port", r.port, "--save", "", "--appendonly", "no", "--dir", r.t.TempDir()}
	r.process = startProgram(r.t, "redis-server", nil, append(arguments, documentedUserArguments(r.t)...)...)
	up := false
	eventually(r.t, "redis-server", func() bool {
		up = strings.Contains(r.stdout.String(), "Ready to accept connections") // another server may answer at the port
		select {
		case <-r.ended:
			return true
		default:
			return up
		}
	})
	return up
}

// url returns the URL of Redis with the user that docs/redis.md documents.
func (r *redis) url() string { return asDocumentedUser("redis://127.0.0.1:" + r.port + "/0") }

// kill ends the server as a crash would. Its data is lost.
func (r *redis) kill() { r.t.Helper(); r.stop(syscall.SIGKILL) }

// restart starts the server again, empty, on the same port.
func (r *redis) restart() {
	r.t.Helper()
	if !r.launch() {
		r.t.Fatal("redis-server does not start again on its port")
	}
}

// command sends one inline command and returns the first line of the answer.
func (r *redis) command(command string) (string, error) {
	c, err := net.DialTimeout("tcp", "127.0.0.1:"+r.port, testTimeout)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(testTimeout))
	if _, err := fmt.Fprintf(c, "%s\r\n", command); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(c).ReadBytes('\n')
	return string(bytes.TrimSpace(line)), err
}

// keyNames returns the names of all keys, one in each line.
func (r *redis) keyNames(t testing.TB) string {
	t.Helper()
	text, err := exec.Command("redis-cli", "-p", r.port, "--scan").CombinedOutput()
	if err != nil {
		t.Fatalf("listing the keys of Redis: %v\n%s", err, text)
	}
	return string(text)
}
