package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"osgate/bench/proc"
)

//go:embed policy.cedar
var policy string

// gatewayOptions are the settings of osgate in which rows differ.
type gatewayOptions struct {
	secure   bool // TLS to the origin
	embedded bool // without Redis
	far      bool // a round trip to Redis takes a millisecond more
	silent   bool // neither traces nor pushed metrics
	quota    quota
	settings []string // more, such as "OSGATE_CACHE_BYTES=1GiB"
}

// gatewaySubject is a binary of osgate.
func gatewaySubject(name, binary string, o gatewayOptions) subject {
	return subject{name: name, start: func(ctx context.Context, s *site) (*target, error) {
		return s.gateway(ctx, binary, o)
	}}
}

// gateway starts osgate with every feature on.
func (s *site) gateway(ctx context.Context, binary string, o gatewayOptions) (*target, error) {
	rules := filepath.Join(s.dir, "policy.cedar")
	if err := os.WriteFile(rules, []byte(policy), 0o600); err != nil {
		return nil, err
	}
	port := s.redisPort
	if o.far {
		var err error
		if port, err = s.farRedis(ctx); err != nil {
			return nil, err
		}
	}
	env := append(s.settings(rules, port, o), o.settings...)
	p, lines, err := s.start(ctx, proc.Options{Name: "osgate", Path: binary, Env: env, Lines: 2})
	if err != nil {
		return nil, err
	}
	clients, okClients := strings.CutPrefix(lines[0], "clients ")
	admin, okAdmin := strings.CutPrefix(lines[1], "admin ")
	if !okClients || !okAdmin {
		return nil, fmt.Errorf("osgate printed %q", lines)
	}
	t := &target{process: p, redis: !o.embedded, address: hostOf(clients), metrics: admin + "/metrics"}
	if o.far {
		t.farRedis = port
	}
	return t, p.Wait(ctx, func() error {
		_, err := fetch(ctx, admin+"/readyz")
		return err
	})
}

// farRedis returns the port of a proxy that delays a round trip to Redis by a
// millisecond.
func (s *site) farRedis(ctx context.Context) (int, error) {
	_, lines, err := s.serve(ctx, 1, "delay", "127.0.0.1:"+strconv.Itoa(s.redisPort), "1ms")
	if err != nil {
		return 0, err
	}
	_, port, _ := strings.Cut(hostOf(lines[0]), ":")
	return strconv.Atoi(port)
}

// settings returns the environment of osgate.
func (s *site) settings(rules string, port int, o gatewayOptions) []string {
	env := []string{
		"HOME=" + s.dir,
		"OSGATE_LISTEN=127.0.0.1:0", "OSGATE_ADMIN_LISTEN=127.0.0.1:0",
		"OSGATE_DRAIN_DELAY=0s", "OSGATE_DRAIN_TIMEOUT=2s", "OSGATE_DEFAULT_REGION=us/us-east-1",
		"OSGATE_UPSTREAM_OVERRIDE=" + s.upstream(o.secure), "OSGATE_UPSTREAM_CA=" + s.certificate,
		"OSGATE_CACHE_KEY_TTL=1h", "OSGATE_RATE_MAX_WAIT=0", "OSGATE_POLICY=" + rules,
		"OSGATE_RATE=" + strconv.Itoa(o.quota.rate), "OSGATE_RATE_BURST=" + strconv.Itoa(o.quota.burst),
		"OSGATE_RATE_PERIOD=" + strconv.Itoa(o.quota.seconds) + "s",
	}
	if !o.silent {
		env = append(env, "OTEL_EXPORTER_OTLP_ENDPOINT="+s.sink)
	}
	if !o.embedded {
		env = append(env, "OSGATE_REDIS_URL=redis://127.0.0.1:"+strconv.Itoa(port), "OSGATE_REDIS_TIMEOUT=1s",
			"OSGATE_REDIS_PREFIX=bench"+strconv.Itoa(len(s.processes)))
	}
	return env
}

// allocated is the number of allocated objects in osgate's metrics.
func allocated() *regexp.Regexp {
	return regexp.MustCompile(`(?m)^go_(?:memory_allocations|memstats_mallocs)_total(?:\{[^}]*\})? (\S+)$`)
}

// mallocs returns how many objects the target has allocated so far, and 0 if it does
// not state that.
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
