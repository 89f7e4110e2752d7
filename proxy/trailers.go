package proxy

import (
	"net/http"
	"slices"

	"golang.org/x/net/http/httpguts"
)

// trimTrailers leaves in upstream's trailers what may follow a body (RFC 9110 section
// 6.5.1): no field about framing, routing, credentials, content or caching, no cookie, and
// none that the header section has too, because net/http would send the header's value
// again. It is called before the names are announced to the client, so that Trailer lists
// nothing else, and at the body's end, when fields may come that upstream did not announce.
func (x *exchange) trimTrailers(answer *http.Response) {
	for name := range answer.Trailer {
		_, again := answer.Header[name]
		if again || !httpguts.ValidTrailerHeader(name) || slices.Contains(forRecipients, name) || slices.Contains(neverTrailing, name) {
			delete(answer.Trailer, name)
		}
	}
}

// neverTrailing lists what forRecipients and net/http's own list lack.
var neverTrailing = []string{
	"Cache-Status", "Proxy-Status", "Server", "Server-Timing", "Set-Cookie", "Set-Cookie2", "Upgrade", "Via", "X-Osgate-Region", "X-Request-Id",
}
