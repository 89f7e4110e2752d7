package proxy

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"osgate/auth"
	"osgate/regionmap"
)

// discover finds the region of a store if neither the request nor the configuration
// names it. It requests the store from all regions of the plane with the client's own
// token. It runs after identification, policy and quota, because it sends upstream
// requests; then it evaluates the policy again, now with the region.
func (p *Proxy) discover(x *exchange) error {
	if !x.undecided() {
		return nil
	}
	if err := p.takeOwnToken(x); err != nil {
		return err
	}
	if err := p.awaitUpstream(x); err != nil {
		return err
	}
	location, err := p.Discovery.Find(x.r.Context(), x.location.Plane, x.op.Ref, x.rec.Principal, p.prober(x))
	if err != nil {
		return err
	}
	x.setLocation(location)
	return p.authorize(x)
}

// undecided reports whether the region of x is still unknown.
func (x *exchange) undecided() bool { return x.discovered && x.location.Region == "" }

// setLocation sets the location of x.
func (x *exchange) setLocation(l regionmap.Location) {
	x.location = l
	x.rec.Plane, x.rec.Region = l.Plane, l.Region
}

// prober returns the probe for x's store. It may run longer than x: others may wait for
// its result when x's client has left.
func (p *Proxy) prober(x *exchange) regionmap.Probe {
	path, ref, header := x.op.StorePath(), x.storeRef(), x.storeHeader()
	header.Set("Via", via(x.r.ProtoMajor, x.r.ProtoMinor))
	hash, client, interval := x.identity.Hash, p.clientKey(x), x.interval()
	brokered, token := x.brokered(), x.token
	return func(ctx context.Context, at regionmap.Location) (regionmap.Finding, error) {
		if _, err := p.takeBudget(ctx, at, ref, p.MaxWait); err != nil {
			return regionmap.Absent, err
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/", http.NoBody)
		if err != nil {
			return regionmap.Absent, fmt.Errorf("making a probe: %w", err)
		}
		r.Host = regionmap.Host(at)
		*r.URL = p.targetURL(r.Host, path)
		r.Header = header.Clone()
		answer, err := p.Transport.Shared.RoundTrip(r)
		if err != nil {
			return regionmap.Absent, fmt.Errorf("probing %s: %w", at, err)
		}
		_, _ = bufferAnswer(answer) // read a short body to its end, so that the connection can be reused
		_ = answer.Body.Close()
		switch answer.StatusCode {
		case http.StatusUnauthorized:
			if brokered {
				p.Brokering.Tokens.Refused(at.Plane, token)
				return regionmap.Absent, fmt.Errorf("probing %s: %w", at, errOwnTokenRefused)
			}
			// Upstream's answer overrides the identity stored for the token.
			p.Identity.Doubt(hash)
			p.Cache.Revoke(ctx, hash)
			return regionmap.Absent, fmt.Errorf("probing %s: %w", at, auth.ErrBadToken)
		case http.StatusTooManyRequests:
			pause := retryAfter(answer.Header, interval)
			p.Pauses.Pause(client, pause, interval)
			return regionmap.Absent, pausedByUpstream(pause)
		}
		return finding(at, answer.StatusCode)
	}
}

// finding turns the status of a probe's answer into a finding.
func finding(at regionmap.Location, status int) (regionmap.Finding, error) {
	switch {
	case status >= 200 && status < 300:
		return regionmap.Found, nil
	case status == http.StatusNotFound:
		return regionmap.Absent, nil
	case status == http.StatusForbidden:
		return regionmap.Hidden, nil
	}
	return regionmap.Absent, fmt.Errorf("probing %s: it answered %d", at, status)
}

// targetURL returns the URL of a raw path at an upstream host.
func (p *Proxy) targetURL(host, path string) url.URL {
	// Opaque is written into the request line unchanged, while net/url would encode a
	// path again. It begins with "/api/v1/" or "/accounts/", never with "//", which
	// would make it an absolute form.
	u := url.URL{Scheme: "https", Host: host, Opaque: path}
	if p.Override != nil {
		u.Scheme, u.Host = p.Override.Scheme, p.Override.Host
	}
	return u
}
