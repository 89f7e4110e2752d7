package main

import (
	"context"
	"strings"

	"osgate/bench/load"
	"osgate/bench/proc"
)

// subject is a server under test, as a row of the table names it.
type subject struct {
	name  string
	start func(ctx context.Context, s *site) (*target, error)
	kind  kind       // not same: other than the scenario's
	plan  *load.Plan // not nil: other than the scenario's
}

// target is a running subject.
type target struct {
	process *proc.Process
	address string // host:port
	metrics string // URL of its metrics; "" if it has none
	warm    bool   // its cache was filled

	redis    bool // it sends commands to Redis
	farRedis int  // port of the proxy that delays its round trips to Redis; 0: none
}

// small starts one of the servers of this program: bare or proxy.
func (s *site) small(ctx context.Context, arguments ...string) (*target, error) {
	p, lines, err := s.serve(ctx, 1, arguments...)
	if err != nil {
		return nil, err
	}
	return &target{process: p, address: hostOf(lines[0])}, nil
}

// bareSubject is a handler of net/http without a proxy.
func bareSubject() subject {
	return subject{name: "bare handler", start: func(ctx context.Context, s *site) (*target, error) {
		return s.small(ctx, "bare")
	}}
}

// proxySubject is httputil.ReverseProxy without anything around it.
func proxySubject(secure bool) subject {
	return subject{name: "bare ReverseProxy", start: func(ctx context.Context, s *site) (*target, error) {
		return s.small(ctx, "proxy", s.upstream(secure), s.certificate)
	}}
}

// directSubject is the origin without anything before it.
func directSubject() subject {
	return subject{name: "direct", kind: pass, start: func(_ context.Context, s *site) (*target, error) {
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

// hostOf returns the host and port of a URL without path.
func hostOf(url string) string { return url[strings.Index(url, "://")+len("://"):] }

// quota is a number of requests in a period, and how many of them at once.
type quota struct {
	rate, burst, seconds int
}

// plenty is counted for each request and refuses none.
func plenty() quota { return quota{1_000_000, 1_000_000, 1} }

// noQuota refuses all but the first request of a client.
func noQuota() quota { return quota{1, 1, 3600} }
