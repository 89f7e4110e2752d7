package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"osgate/auth"
	"osgate/internal/via"
	"osgate/objectstore"
	"osgate/record"
	"osgate/regionmap"
)

const accountsPrefix = "/accounts/"

// locate reads the operation and the location. It is the first stage after admit
// because a token belongs to a control plane.
func (p *Proxy) locate(x *exchange) error {
	x.enter(record.StageLocate)
	target, err := p.originForm(x.r)
	if err != nil {
		return err
	}
	path, query, asks := strings.Cut(target, "?")
	place, path, err := p.Regions.Read(x.r.Host, path, x.r.Header[regionmap.Header])
	if err != nil {
		return err
	}
	x.path, x.query, x.forceQuery = path, query, asks
	if strings.HasPrefix(path, accountsPrefix) {
		return p.locateAccounts(x, place)
	}
	return p.locateOperation(x, place)
}

func (p *Proxy) locateAccounts(x *exchange, place regionmap.Place) (err error) {
	if err := emptySegment(x.path); err != nil {
		return err
	}
	call, ok := auth.ReadCall(x.r.Method, x.path)
	if !ok || !p.Accounts {
		return refusal{
			code: record.CodeNotObjectStore, detail: "this gateway does not forward this Access Management call",
		}
	}
	x.call = call
	x.rec.Surface, x.rec.Operation, x.rec.Route = record.SurfaceAccounts, call.String(), call.Route(x.path)
	x.location.Plane, err = p.Regions.Plane(place)
	x.rec.Plane = x.location.Plane
	return err
}

func (p *Proxy) locateOperation(x *exchange, place regionmap.Place) error {
	op, err := objectstore.Parse(x.r.Method, x.path, x.query)
	if errors.Is(err, objectstore.ErrNotObjectStore) {
		return cmp.Or(emptySegment(x.path), err)
	}
	if err != nil {
		return err
	}
	x.setOperation(op)
	plane, undecided := p.Regions.Undecided(place, x.op.Ref)
	switch {
	case x.op.Stats():
		x.rec.Surface = record.SurfaceStats
		x.location.Plane, err = p.Regions.Plane(place)
	case undecided:
		x.discovered = true
		x.location = p.Discovery.Known(plane, x.op.Ref)
	default:
		x.location, err = p.Regions.Locate(place, x.op.Ref)
	}
	x.rec.Plane, x.rec.Region = x.location.Plane, x.location.Region
	return err
}

// setOperation sets the operation of x.
func (x *exchange) setOperation(op objectstore.Operation) {
	x.op = op
	x.rec.Surface, x.rec.Operation, x.rec.Route = record.SurfaceObjectStore, op.Kind.String(), op.Route()
	x.rec.Organization, x.rec.Environment, x.rec.Store = op.Ref.Organization, op.Ref.Environment, op.Ref.Store
}

// emptySegment returns an error if path contains an empty segment. Key-value clients
// read a 404 as "no such key", which would hide a wrong base URL.
func emptySegment(path string) error {
	if path == "/" { // has no segment
		return nil
	}
	n := 0
	for segment := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if n++; segment == "" {
			return &objectstore.PathError{Segment: n, Reason: "is empty"}
		}
	}
	return nil
}

// originForm returns the request target unchanged: path and query. An absolute form
// (RFC 9112 section 3.2.2) is accepted if it names one of the known hosts or the
// address that the client connected to: the gateway is not an open proxy.
func (p *Proxy) originForm(r *http.Request) (string, error) {
	if strings.HasPrefix(r.RequestURI, "/") {
		return r.RequestURI, nil
	}
	scheme, rest, ok := strings.Cut(r.RequestURI, "://")
	if !ok || (!strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https")) {
		return "", objectstore.ErrNotObjectStore
	}
	at := strings.IndexAny(rest, "/?#")
	if at < 0 || rest[at] != '/' {
		return "", objectstore.ErrNotObjectStore
	}
	place, _, err := p.Regions.Read(r.Host, "/", nil)
	if err != nil {
		return "", err
	}
	if place.Plane == "" && !ownAddress(r) {
		return "", refusal{
			code: record.CodeBadRequest, detail: "this gateway does not serve the host in the request target",
		}
	}
	return rest[at:], nil
}

// ownAddress reports whether the request's host is the local address of the connection.
func ownAddress(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	_, port, err := net.SplitHostPort(local.String())
	return r.Host == local.String() || err == nil && strings.EqualFold(r.Host, "localhost:"+port)
}

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
	header.Set("Via", via.Of(x.r.ProtoMajor, x.r.ProtoMinor))
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
