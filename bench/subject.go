package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"

	_ "embed"

	"osgate/bench/nginx"
	"osgate/bench/proc"
)

// subject is a server under test, as a row of the table names it.
type subject struct {
	name  string
	start func(ctx context.Context, s *site) (*target, error)
}

// target is a running subject.
type target struct {
	process *proc.Process
	address string // host:port
	metrics string // URL of its metrics; "" if it has none
}

// small starts one of the servers of this program: bare, proxy, or the origin itself.
func (s *site) small(ctx context.Context, arguments ...string) (*target, error) {
	p, lines, err := s.serve(ctx, 1, []string{"BENCH_CA=" + s.certificate}, arguments...)
	if err != nil {
		return nil, err
	}
	return &target{process: p, address: hostOf(lines[0])}, nil
}

func bareSubject() subject {
	return subject{"bare handler", func(ctx context.Context, s *site) (*target, error) { return s.small(ctx, "bare") }}
}

func proxySubject(secure bool) subject {
	return subject{"bare ReverseProxy", func(ctx context.Context, s *site) (*target, error) {
		return s.small(ctx, "proxy", s.upstream(secure))
	}}
}

func originSubject() subject {
	return subject{"direct", func(_ context.Context, s *site) (*target, error) {
		return &target{process: s.origin, address: hostOf(s.plain)}, nil
	}}
}

// upstream returns the base URL of the origin.
func (s *site) upstream(secure bool) string {
	if secure {
		return s.secure
	}
	return s.plain
}

func hostOf(url string) string { return url[strings.Index(url, "://")+len("://"):] }

// quota is a number of requests in a period, and how many of them at once.
type quota struct {
	rate, burst, seconds int
}

// plenty is counted for each request and refuses none.
func plenty() quota { return quota{1_000_000, 1_000_000, 1} }

// nothing refuses all but the first request of a client.
func nothing() quota { return quota{1, 1, 3600} }

// nginxSubject is nginx with Lua.
func nginxSubject(secure bool, q quota) subject {
	return subject{"nginx + Lua", func(ctx context.Context, s *site) (*target, error) { return s.nginx(ctx, secure, q) }}
}

// nginx starts nginx with the peer's configuration.
func (s *site) nginx(ctx context.Context, secure bool, q quota) (*target, error) {
	path, err := exec.LookPath("nginx")
	if err != nil {
		return nil, err
	}
	port, err := proc.FreePort()
	if err != nil {
		return nil, err
	}
	script, err := redisCall(ctx, s.redisPort, "SCRIPT", "LOAD", nginx.Script())
	if err != nil {
		return nil, fmt.Errorf("loading the peer's script: %w", err)
	}
	dir := filepath.Join(s.dir, "nginx")
	scheme := "http://origin"
	if secure {
		scheme = "https://secure"
	}
	values := map[string]string{
		"dir": dir, "conf": dir, "cache": filepath.Join(dir, "cache"), "user": nginxUser(), "modules": nginxModules(),
		"workers": strconv.Itoa(runtime.NumCPU()), "plain": hostOf(s.plain), "secure": hostOf(s.secure), "scheme": scheme,
		"port": strconv.Itoa(port), "redis": strconv.Itoa(s.redisPort), "script": script,
		"rate": strconv.Itoa(q.rate), "burst": strconv.Itoa(q.burst), "period": strconv.Itoa(q.seconds),
	}
	if err := nginx.Write(dir, values); err != nil {
		return nil, err
	}
	p, _, err := s.start(ctx, proc.Options{Name: "nginx", Path: path, Args: []string{"-p", dir, "-c", filepath.Join(dir, "nginx.conf")}})
	if err != nil {
		return nil, err
	}
	t := &target{process: p, address: "127.0.0.1:" + strconv.Itoa(port)}
	return t, p.Wait(ctx, func() error {
		conn, err := net.Dial("tcp", t.address) //nolint:noctx // loopback
		if err == nil {
			err = conn.Close()
		}
		return err
	})
}

// nginxUser returns the line that makes nginx's workers run as the user of this program.
// nginx accepts it from root only.
func nginxUser() string {
	me, err := user.Current()
	if err != nil || me.Uid != "0" {
		return ""
	}
	return "user " + me.Username + ";"
}

// nginxModules returns the lines that load the Lua module as Debian installs it.
func nginxModules() string {
	var lines strings.Builder
	for _, name := range []string{"ndk_http_module.so", "ngx_http_lua_module.so"} {
		file := filepath.Join("/usr/lib/nginx/modules", name)
		if _, err := os.Stat(file); err == nil {
			fmt.Fprintf(&lines, "load_module %s;\n", file)
		}
	}
	return lines.String()
}

//go:embed policy.cedar
var policy string

// gatewayOptions are the settings of osgate in which rows differ.
type gatewayOptions struct {
	secure   bool // TLS to the origin
	embedded bool // without Redis
	redis    int  // port of Redis, 0: the site's
	silent   bool // neither traces nor pushed metrics
	quota    quota
	settings []string // more, such as "OSGATE_CACHE_BYTES=1GiB"
}

// gatewaySubject is a binary of osgate.
func gatewaySubject(name, binary string, o gatewayOptions) subject {
	return subject{name, func(ctx context.Context, s *site) (*target, error) { return s.gateway(ctx, binary, o) }}
}

// gateway starts osgate with every feature on.
func (s *site) gateway(ctx context.Context, binary string, o gatewayOptions) (*target, error) {
	rules := filepath.Join(s.dir, "policy.cedar")
	if err := os.WriteFile(rules, []byte(policy), 0o600); err != nil {
		return nil, err
	}
	env := append(s.settings(rules, o), o.settings...)
	p, lines, err := s.start(ctx, proc.Options{Name: "osgate", Path: binary, Env: env, Lines: 2})
	if err != nil {
		return nil, err
	}
	clients, okClients := strings.CutPrefix(lines[0], "clients ")
	admin, okAdmin := strings.CutPrefix(lines[1], "admin ")
	if !okClients || !okAdmin {
		return nil, fmt.Errorf("osgate printed %q", lines)
	}
	t := &target{process: p, address: hostOf(clients), metrics: admin + "/metrics"}
	return t, p.Wait(ctx, func() error {
		_, err := fetch(ctx, admin+"/readyz")
		return err
	})
}

// settings returns the environment of osgate.
func (s *site) settings(rules string, o gatewayOptions) []string {
	env := []string{
		"HOME=" + s.dir,
		"OSGATE_LISTEN=127.0.0.1:0", "OSGATE_ADMIN_LISTEN=127.0.0.1:0", "OSGATE_DRAIN_DELAY=0s", "OSGATE_DRAIN_TIMEOUT=2s",
		"OSGATE_DEFAULT_REGION=us/us-east-1", "OSGATE_UPSTREAM_OVERRIDE=" + s.upstream(o.secure), "OSGATE_UPSTREAM_CA=" + s.certificate,
		"OSGATE_CACHE_KEY_TTL=1h", "OSGATE_RATE_MAX_WAIT=0", "OSGATE_POLICY=" + rules,
		"OSGATE_RATE=" + strconv.Itoa(o.quota.rate), "OSGATE_RATE_BURST=" + strconv.Itoa(o.quota.burst),
		"OSGATE_RATE_PERIOD=" + strconv.Itoa(o.quota.seconds) + "s",
	}
	if !o.silent {
		env = append(env, "OTEL_EXPORTER_OTLP_ENDPOINT="+s.sink)
	}
	if !o.embedded {
		port := o.redis
		if port == 0 {
			port = s.redisPort
		}
		env = append(env, "OSGATE_REDIS_URL=redis://127.0.0.1:"+strconv.Itoa(port), "OSGATE_REDIS_TIMEOUT=1s",
			"OSGATE_REDIS_PREFIX=bench"+strconv.Itoa(len(s.processes)))
	}
	return env
}

// allocated is the number of allocated objects in osgate's metrics.
func allocated() *regexp.Regexp {
	return regexp.MustCompile(`(?m)^(?:go_memstats_mallocs_total|go_gc_heap_allocs_objects_total|go_memory_allocations_total)(?:\{[^}]*\})? (\S+)$`)
}

// mallocs returns how many objects the target has allocated so far, and 0 if it does not
// state that.
func (t *target) mallocs(ctx context.Context) (float64, error) {
	if t.metrics == "" {
		return 0, nil
	}
	text, err := fetch(ctx, t.metrics)
	if err != nil {
		return 0, err
	}
	found := allocated().FindStringSubmatch(text)
	if found == nil {
		return 0, nil
	}
	return strconv.ParseFloat(found[1], 64)
}
