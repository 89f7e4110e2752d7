package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"osgate/bench/nginx"
	"osgate/bench/proc"
)

// peerOptions are the settings of nginx in which rows differ.
type peerOptions struct {
	secure  bool  // TLS to the origin
	keepNot bool  // proxy_cache is off
	quota   quota // the zero quota: plenty
}

// nginxSubject is nginx with Lua.
func nginxSubject(name string, o peerOptions) subject {
	if o.quota == (quota{}) {
		o.quota = plenty()
	}
	return subject{name: name, start: func(ctx context.Context, s *site) (*target, error) { return s.nginx(ctx, o) }}
}

// nginx starts nginx with the peer's configuration.
func (s *site) nginx(ctx context.Context, o peerOptions) (*target, error) {
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
	dir := filepath.Join(s.dir, fmt.Sprintf("nginx-%d", len(s.processes)))
	scheme, zone, q := "http://origin", "values", o.quota
	if o.secure {
		scheme = "https://secure"
	}
	if o.keepNot {
		zone = "off"
	}
	values := map[string]string{
		"dir": dir, "conf": dir, "cache": filepath.Join(dir, "cache"), "user": nginxUser(), "modules": nginxModules(),
		"workers": strconv.Itoa(runtime.NumCPU()),
		"plain":   hostOf(s.plain), "secure": hostOf(s.secure), "scheme": scheme, "zone": zone,
		"port": strconv.Itoa(port), "redis": strconv.Itoa(s.redisPort), "script": script,
		"rate": strconv.Itoa(q.rate), "burst": strconv.Itoa(q.burst), "period": strconv.Itoa(q.seconds),
	}
	if err := nginx.Write(dir, values); err != nil {
		return nil, err
	}
	p, _, err := s.start(ctx, proc.Options{
		Name: "nginx", Path: path, Args: []string{"-p", dir, "-c", filepath.Join(dir, "nginx.conf")},
	})
	if err != nil {
		return nil, err
	}
	t := &target{process: p, redis: true, address: "127.0.0.1:" + strconv.Itoa(port)}
	return t, p.Wait(ctx, func() error {
		conn, err := net.Dial("tcp", t.address) //nolint:noctx // loopback
		if err == nil {
			err = conn.Close()
		}
		return err
	})
}

// nginxUser returns the line that makes nginx's workers run as the user of this
// program. nginx accepts it from root only.
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
