package main

import (
	"context"
	"io"
	"net/http"
	"time"
)

// healthcheckTimeout is shorter than container runtimes usually allow.
const healthcheckTimeout = 3 * time.Second

// healthcheck requests the readiness of the running gateway of this configuration from
// its admin listener. It needs no shell and no curl, so that it works in an image that
// contains only the gateway.
func (p *program) healthcheck(ctx context.Context, args []string) int {
	if len(args) > 0 {
		return p.noArguments("healthcheck", args)
	}
	c, ok := p.loadAlone()
	if !ok {
		return exitMisuse
	}
	base, trusted, err := ownAdmin(c.Admin)
	if err != nil {
		return p.misuse("%v", err)
	}
	ctx, cancel := context.WithTimeout(ctx, healthcheckTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/readyz", nil)
	if err != nil {
		return p.misuse("OSGATE_ADMIN_LISTEN cannot be used: %v", err)
	}
	transport := &http.Transport{TLSClientConfig: trusted, DisableKeepAlives: true}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		p.complain("%v", err)
		return exitFailed
	}
	defer func() { _ = answer.Body.Close() }() // only the beginning is read, below
	body, _ := io.ReadAll(io.LimitReader(answer.Body, 4<<10))
	p.print("%s\n", body)
	if answer.StatusCode != http.StatusOK {
		return exitFailed
	}
	return exitOK
}
