package emulator

import (
	"net"
	"net/http"
	"strings"
)

// exchange is a request while the emulator handles it.
type exchange struct {
	in       *http.Request
	target   string // exactly as on the wire
	rawQuery string
	place    place
	token    digest // of the bearer token, if there is one
	grant    *grant // of the token; nil without a token, or if it is invalid or of another plane
	client   string // the token's client, of any plane
	refusal  error  // the reason for a missing grant
}

// newExchange finds the place of a request and the grant of its token.
func (e *Emulator) newExchange(r *http.Request) *exchange {
	path, query := splitTarget(r)
	x := &exchange{in: r, target: r.RequestURI, rawQuery: query, place: e.locate(r.Host, path)}
	if x.target == "" {
		x.target = r.URL.RequestURI()
	}
	token, err := bearer(r.Header)
	if err != nil {
		x.refusal = err
		return x
	}
	x.token = digestOf(token)
	g := e.access.get(x.token, e.clock.now())
	if g == nil {
		x.refusal = problemf(http.StatusUnauthorized, "the token is not good: unknown, expired or revoked")
		return x
	}
	x.client = g.Client
	if g.Plane != x.place.plane {
		x.refusal = problemf(http.StatusUnauthorized, "the token was not minted in this control plane")
		return x
	}
	x.grant = g
	return x
}

// authenticated returns the reason for a missing grant, or nil with a grant.
func (x *exchange) authenticated() error { return x.refusal }

// address returns the client's IP address.
func (x *exchange) address() string {
	host, _, err := net.SplitHostPort(x.in.RemoteAddr)
	if err != nil {
		return x.in.RemoteAddr
	}
	return host
}

// bearer returns the token of the one Authorization header. The vendor's own examples
// write the scheme both "bearer" and "Bearer".
func bearer(header http.Header) (string, error) {
	values := header.Values("Authorization")
	if len(values) == 0 {
		return "", problemf(http.StatusUnauthorized, "there is no Authorization header")
	}
	if len(values) > 1 {
		return "", problemf(http.StatusBadRequest, "there is more than one Authorization header")
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "bearer") || token == "" {
		return "", problemf(http.StatusUnauthorized, "the Authorization header is not of the form Bearer <token>")
	}
	return token, nil
}
