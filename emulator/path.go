package emulator

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

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
