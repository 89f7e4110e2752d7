package proxy

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"osgate/auth"
	"osgate/objectstore"
	"osgate/regionmap"
)

// discover finds the region of a store that nothing places, by asking all regions of its plane with the caller's own token. It comes after token,
// policy and quota, because it asks upstream; the policy is asked again, because it has not seen the region.
func (p *Proxy) discover(x *exchange) error {
	if !x.undecided() {
		return nil
	}
	if err := p.stand(x); err != nil {
		return err
	}
	location, err := p.Discovery.Find(x.r.Context(), x.location.Plane, x.op.Ref, x.rec.Principal, p.prober(x))
	if err != nil {
		return err
	}
	x.place(location)
	return p.authorize(x)
}

// undecided reports whether the region of x has to be found out.
func (x *exchange) undecided() bool { return x.discovered && x.location.Region == "" }

// place notes where x goes.
func (x *exchange) place(l regionmap.Location) {
	x.location = l
	x.rec.Plane, x.rec.Region = l.Plane, l.Region
}

// prober returns the question for x's store, which may outlive x: others may wait for the answer when x's client has left.
func (p *Proxy) prober(x *exchange) regionmap.Probe {
	path, ref, authorization, via := x.op.StorePath(), x.ref(), x.token.Header(), via(x.r.ProtoMajor, x.r.ProtoMinor)
	hash, client, interval := x.who.Hash, p.clientKey(x), x.interval()
	return func(ctx context.Context, at regionmap.Location) (regionmap.Finding, error) {
		if _, err := p.takeBudget(ctx, at, ref, p.MaxWait); err != nil {
			return regionmap.Absent, err
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/", http.NoBody)
		if err != nil {
			return regionmap.Absent, fmt.Errorf("making a probe: %w", err)
		}
		r.Host = regionmap.Host(at)
		r.URL = p.upstream(r.Host, path)
		r.Header = http.Header{"Authorization": {authorization}, "Accept": {"application/json"}, "User-Agent": {pseudonym}, "Via": {via}}
		answer, err := p.Transport.Shared.RoundTrip(r)
		if err != nil {
			return regionmap.Absent, fmt.Errorf("probing %s: %w", at, err)
		}
		_, _ = rewind(answer) // read to its end where it is short, so that the connection serves again
		_ = answer.Body.Close()
		switch answer.StatusCode {
		case http.StatusUnauthorized: // upstream knows better than what we hold of the token
			p.Identity.Doubt(hash)
			p.Cache.Revoke(ctx, hash)
			return regionmap.Absent, fmt.Errorf("probing %s: %w", at, auth.ErrBadToken)
		case http.StatusTooManyRequests:
			pause := retryAfter(answer.Header, interval)
			p.Pauses.Pause(client, pause, interval)
			return regionmap.Absent, pushedBack(pause)
		}
		return finding(at, answer.StatusCode)
	}
}

// finding is what an answer to a probe says.
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

// upstream returns the URL of a raw path at a host of the table.
func (p *Proxy) upstream(host, path string) *url.URL {
	// Opaque, because net/url would re-encode what it reads: it is written into the request line as it is. It begins with "/api/v1/" or
	// "/accounts/", never with "//", which would make it an absolute form.
	u := &url.URL{Scheme: "https", Host: host, Opaque: path}
	if p.Override != nil {
		u.Scheme, u.Host = p.Override.Scheme, p.Override.Host
	}
	return u
}

// doubtPlace takes from an answer what it says of the place that discovery chose: where the store, or what is in it, is not, it may have gone.
func (p *Proxy) doubtPlace(x *exchange, status int) {
	if !x.discovered {
		return
	}
	deleted := x.op.Kind == objectstore.DeleteStore && status < 300
	switch {
	case status == http.StatusNotFound && x.op.Ref.Key != "":
		p.Discovery.Forget(x.location, x.op.Ref, regionmap.Weak)
	case status == http.StatusNotFound || deleted:
		p.Discovery.Forget(x.location, x.op.Ref, regionmap.Strong)
	}
}
