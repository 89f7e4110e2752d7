package proxy

import (
	"cmp"
	"errors"
	"net"
	"net/http"
	"strings"

	"osgate/auth"
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

// namedLocation returns the location, or the control plane alone, that the request
// itself names. It is zero if the request names none or more than one.
func (p *Proxy) namedLocation(r *http.Request) regionmap.Location {
	target, err := p.originForm(r)
	if err != nil {
		return regionmap.Location{}
	}
	path, _, _ := strings.Cut(target, "?")
	place, _, err := p.Regions.Read(r.Host, path, r.Header[regionmap.Header])
	if err != nil {
		return regionmap.Location{}
	}
	return regionmap.Location{Plane: place.Plane, Region: place.Region}
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
