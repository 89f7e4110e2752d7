// Package admin is the operator's listener: is the process alive and can it serve, its metrics, its configuration, what is happening (a page and
// the JSON behind it), and the purge of the cache.
//
// The idea a reader needs: this handler can be reached by people with a browser, so it has two doors. Where only this machine can reach
// it, the Host header must say so, or any web page could read it through a name that it lets point here (DNS rebinding). Everywhere
// else a token is required, as a bearer by programs, once by the page, which then holds a cookie. Both doors may be shut at once.
// /livez and /readyz are for orchestrators and need no token; they say nothing that is not for everybody.
//
// All data comes from functions in [Options]; the package imports nothing of ours, holds no numbers and starts no goroutine. The page is
// static, embedded, and loads nothing from anywhere else; it reads /api/live, /api/recent and /api/history as any program can.
package admin
