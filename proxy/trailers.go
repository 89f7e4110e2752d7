package proxy

import (
	"net/http"
	"slices"

	"golang.org/x/net/http/httpguts"
)

// trimTrailers removes from upstream's trailers the fields that must not follow a body
// (RFC 9110 section 6.5.1): fields about framing, routing, credentials, content or
// caching, cookies, and fields that the header section has too, because net/http would
// send the header's value again. It is called before Trailer lists the names for the
// client, and at the body's end, when fields may arrive that upstream did not announce.
func (x *exchange) trimTrailers(answer *http.Response) {
	for name := range answer.Trailer {
		_, again := answer.Header[name]
		if again || !httpguts.ValidTrailerHeader(name) || slices.Contains(forRecipients, name) || slices.Contains(neverTrailing, name) {
			delete(answer.Trailer, name)
		}
	}
}

// neverTrailing lists forbidden trailers that are missing in forRecipients and in
// net/http's own list.
var neverTrailing = []string{
	"Cache-Status", "Proxy-Status", "Server", "Server-Timing", "Set-Cookie", "Set-Cookie2", "Upgrade", "Via", "X-Osgate-Region", "X-Request-Id",
}
