package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"osgate/cmd/internal/gateway"
	"osgate/config"
	"osgate/internal/redisconn"
	"osgate/regionmap"
)

// checkTimeout bounds each request that check sends to a dependency.
const checkTimeout = 5 * time.Second

// check validates the whole configuration and checks that every dependency answers. It
// changes nothing.
func (p *program) check(ctx context.Context, args []string) int {
	if len(args) > 0 {
		return p.noArguments("check", args)
	}
	c, ok := p.load()
	if !ok {
		return exitMisuse
	}
	if err := gateway.Check(gateway.Options{Config: c, Logger: slog.New(slog.DiscardHandler)}); err != nil {
		p.complain("%v", err)
		return exitMisuse
	}
	p.print("%-14s %s\n", "configuration", "is valid")
	status := p.checkRedis(ctx, c)
	for _, plane := range p.planes(c) {
		status = max(status, p.checkPlane(ctx, c, plane))
	}
	return status
}

// planes returns the control planes that may be reached. The configuration has been
// validated before.
func (p *program) planes(c config.Config) []string {
	m, err := gateway.Regions(c)
	if err != nil {
		return nil
	}
	p.print("%-14s %d of %d may be reached\n", "locations", len(m.Allowed()), len(regionmap.Endpoints()))
	return m.EnabledPlanes()
}

func (p *program) checkRedis(ctx context.Context, c config.Config) int {
	conn, err := gateway.OpenRedis(c, redisconn.Options{})
	if err != nil {
		p.complain("%v", err)
		return exitMisuse
	}
	if conn == nil {
		p.print("%-14s %s\n", "redis", "is not configured: one process, embedded stores")
		return exitOK
	}
	defer func() { _ = conn.Close() }() // no command is running
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	start := time.Now()
	if err := conn.Ping(ctx); err != nil {
		p.print("%-14s cannot be used: %v\n", "redis", err)
		p.checkRights(ctx, conn)
		return exitFailed
	}
	p.print("%-14s answers and accepts writes (%s)\n", "redis", time.Since(start).Round(time.Microsecond))
	if status := p.checkRights(ctx, conn); status != exitOK {
		return status
	}
	p.warnOfSplitBrain(ctx, conn)
	return exitOK
}

// checkRights tries every command that serving uses, and prints those that Redis does
// not permit.
func (p *program) checkRights(ctx context.Context, conn *redisconn.Conn) int {
	lacking, err := conn.Lacking(ctx)
	switch {
	case err != nil:
		p.print("%-14s the permitted commands are unknown: %v\n", "redis", err)
		return exitFailed
	case len(lacking) > 0:
		p.print("%-14s does not permit the user of OSGATE_REDIS_URL to run: %s; grant them with ACL SETUSER … +%s\n",
			"redis", strings.Join(lacking, ", "), strings.Join(lacking, " +"))
		return exitFailed
	}
	p.print("%-14s permits every command that osgate uses\n", "redis")
	return exitOK
}

// warnOfSplitBrain prints the primaries that still accept writes after they lose their
// replicas. It does not change the exit status, because a managed service may prevent a
// split brain in another way.
func (p *program) warnOfSplitBrain(ctx context.Context, conn *redisconn.Conn) {
	unguarded, err := conn.Unguarded(ctx)
	if err != nil {
		p.print("%-14s warning: the protection against a split brain is unknown:  %v\n", "redis", err)
		return
	}
	for _, addr := range unguarded {
		p.print("%-14s warning: %s has replicas and no min-replicas-to-write: in a split brain gateways on both sides"+
			" may serve stale answers, for their freshness at most; set min-replicas-to-write 1\n", "redis", addr)
	}
}

// checkPlane calls a control plane's token validation with a token that is not one.
// Every answer except a failure shows that the plane is available.
func (p *program) checkPlane(ctx context.Context, c config.Config, plane string) int {
	name := "plane " + plane
	took, err := reachPlane(ctx, c, plane)
	if err != nil {
		p.print("%-14s cannot be reached: %v\n", name, err)
		return exitFailed
	}
	p.print("%-14s answers (%s)\n", name, took.Round(time.Millisecond))
	return exitOK
}

func reachPlane(ctx context.Context, c config.Config, plane string) (time.Duration, error) {
	transport, err := gateway.Transport(c)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	end := gateway.Endpoint(c)(plane)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, end.URL.JoinPath("/accounts/api/me").String(), nil)
	if err != nil {
		return 0, fmt.Errorf("making the request: %w", err)
	}
	r.Host = end.Host
	start := time.Now()
	answer, err := transport.Fresh.RoundTrip(r)
	if err != nil {
		return 0, fmt.Errorf("requesting %s: %w", end.Host, err)
	}
	_ = answer.Body.Close() // not read
	if answer.StatusCode >= http.StatusInternalServerError {
		return 0, fmt.Errorf("%s answered %d", end.Host, answer.StatusCode)
	}
	return time.Since(start), nil
}
