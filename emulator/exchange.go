package emulator

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
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

// locate returns the place of a request. It removes empty segments at the beginning of
// its path if that is chosen.
func (e *Emulator) locate(host, path string) place {
	p := e.atlas.locate(host, path)
	if p.service != nowhere || e.chosen.is(emptySegments, "none") {
		return p
	}
	again := e.atlas.locate(host, withoutEmptyFront(path))
	if again.service == accountsService || e.chosen.is(emptySegments, "all") {
		return again
	}
	return p
}

// withoutEmptyFront returns path without the empty segments in front of its prefix and
// of the first "api" or "accounts".
func withoutEmptyFront(path string) string {
	var front strings.Builder
	rest := path
	for rest != "" {
		rest = strings.TrimLeft(rest, "/")
		word, below, _ := strings.Cut(rest, "/")
		if word == "api" || word == "accounts" {
			return front.String() + "/" + rest
		}
		front.WriteString("/" + word)
		rest = below
	}
	return path
}

// splitTarget returns the raw path and the raw query of a request, exactly as received:
// r.URL may have been re-encoded.
func splitTarget(r *http.Request) (path, query string) {
	target := r.RequestURI
	if target == "" { // not from a server
		return r.URL.EscapedPath(), r.URL.RawQuery
	}
	if scheme, rest, found := strings.Cut(target, "://"); found && !strings.Contains(scheme, "/") {
		_, below, _ := strings.Cut(rest, "/")
		target = "/" + below
	}
	path, query, _ = strings.Cut(target, "?")
	return path, query
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

// decodeSegments splits the rest of a raw path, after a prefix, at its slashes and then
// decodes each segment exactly once, so that %2F in a key stays part of the key.
func decodeSegments(raw string) ([]string, error) {
	parts := strings.Split(raw, "/")
	for i, part := range parts {
		decoded, err := url.PathUnescape(part)
		if err != nil {
			return nil, problemf(http.StatusBadRequest, "segment %d of the path has a malformed percent-encoding", i+1)
		}
		parts[i] = decoded
	}
	return parts, nil
}

// checkName returns the problem of a decoded path segment as a name of this kind, or
// nil.
func checkName(what, name string, limit int) *problem {
	switch {
	case name == "":
		return problemf(http.StatusBadRequest, "the %s is empty", what)
	case name == "." || name == "..":
		return problemf(http.StatusBadRequest, "the %s is a dot segment", what)
	case !utf8.ValidString(name):
		return problemf(http.StatusBadRequest, "the %s is not UTF-8", what)
	case strings.ContainsFunc(name, isControl):
		return problemf(http.StatusBadRequest, "the %s has a control character", what)
	case len(name) > limit:
		return problemf(http.StatusBadRequest, "the %s has %d bytes, more than %d", what, len(name), limit)
	}
	return nil
}

func isControl(r rune) bool { return r < 0x20 || r == 0x7f }

// problem is an error that the client receives.
type problem struct {
	status  int
	message string
}

func (p *problem) Error() string { return fmt.Sprintf("%d: %s", p.status, p.message) }

func problemf(status int, format string, args ...any) *problem {
	return &problem{status, fmt.Sprintf(format, args...)}
}
