// Package admin serves the operator's listener: health and readiness, metrics, the
// configuration, a page with the JSON behind it, and the purge of the cache.
//
// The idea a reader needs: people reach this handler with a browser, so it has two
// protections. If only this machine can reach it, the Host header must be a loopback
// name; otherwise any web page could read the data through a domain name that points to
// 127.0.0.1 (DNS rebinding). Everywhere else a token is required: programs send it as a
// bearer token, the page requests it once and then holds a cookie. Both protections may
// be active at once. /livez and /readyz are for orchestrators. They need no token and
// contain only public information.
//
// All data comes from functions in [Options]. The package imports no other package of
// the gateway, keeps no counts and starts no goroutine. The page is static, embedded,
// and loads no file from another host. It reads /api/live, /api/recent and
// /api/history, which any program may read too.
package admin
